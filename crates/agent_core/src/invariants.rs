//! Laws that hold after every step; tests check them.
