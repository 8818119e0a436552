//! A journal written anew: the shortest records that add up to the present state.
