//! To be written.
use super::*;
#[test]
fn dump() {
    for set in [
        vec!["01"],
        vec!["02"],
        vec!["03"],
        vec!["04"],
        vec!["05"],
        vec!["06"],
        vec!["07"],
        vec!["08"],
        vec!["09"],
        vec!["10"],
        vec!["11"],
        vec!["12"],
        vec!["13"],
        vec!["14"],
        vec!["15"],
        vec!["16"],
        vec!["17"],
        vec!["18"],
        vec!["19"],
        vec!["20"],
        vec!["endpoints"],
        vec!["04", "07", "08", "16", "17"],
        vec!["02", "03", "04", "05", "endpoints"],
    ] {
        let loaded = load_files(&set);
        println!("=== {set:?} model {}", loaded.model.is_some());
        for d in &loaded.diagnostics {
            println!("{d}");
        }
        if set.len() > 3 {
            println!("{:#?}", loaded.model);
        }
    }
}
