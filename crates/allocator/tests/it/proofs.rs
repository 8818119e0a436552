//! Seeded draws keep to the law of the competition. `cargo xtask groups` prints the same as a table.

#[path = "proof/mod.rs"]
mod proof;

#[test]
fn a_hundred_thousand_draws_of_each_shape_agree_with_their_expectation() {
    for (number, shape) in proof::SHAPES.iter().enumerate() {
        let row = proof::measure(shape, 1 + number as u64);
        let name = format!("{}, {} agents", row.shape.name, row.agents);
        assert!(row.p_value > 0.001, "{name}: chi-square {} of {}", row.chi_square, row.freedom);
        assert!(row.worst_draw < 4.0, "{name}: {} standard errors off", row.worst_draw);
        assert!(row.worst_competition < 4.0, "{name}: {} standard errors off", row.worst_competition);
        assert_eq!(row.lasts, shape.name != "the heaviest run out", "{name}");
    }
}
