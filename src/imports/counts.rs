//! The counts in a function's output.

use serde_json::Value;

use crate::{base::config::OutputPointers, csv::Counts};

/// The counts of the first pair of `pointers` of which the output has both.
pub fn in_output(pointers: &OutputPointers, output: Option<&Value>) -> Option<Counts> {
    let output = output?;
    pointers.pairs().find_map(|[processed, failed]| {
        Some(Counts {
            processed: number(output.pointer(processed)?)?,
            failed: number(output.pointer(failed)?)?,
        })
    })
}

/// A count. Numbers are floating point on Inngest, so 98 may be written as 98.0.
fn number(value: &Value) -> Option<u64> {
    /// 2^53: above it not every integer is exact, so the number is not a count.
    const EXACT: u64 = 1 << 53;
    let whole = |float: f64| (float.fract() == 0.0 && float >= 0.0).then_some(float as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole)).filter(|number| *number <= EXACT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(pointers: &str, output: Value) -> Option<(u64, u64)> {
        let pointers = match pointers {
            "" => OutputPointers::default(),
            some => some.parse().unwrap(),
        };
        in_output(&pointers, Some(&output)).map(|counts| (counts.processed, counts.failed))
    }

    #[test]
    fn an_output_tells_its_counts_where_it_was_said_that_it_does() {
        let ours = || json!({"status": "success", "processedItems": 98, "failedItems": 2});
        assert_eq!(counts("", ours()), Some((98, 2)));
        assert_eq!(counts("/stats/ok,/stats/bad", ours()), Some((98, 2)));
        assert_eq!(counts("/stats/ok,/stats/bad", json!({"stats": {"ok": 5, "bad": 0}})), Some((5, 0)));
        assert_eq!(counts("/a,/b; /rows/0,/rows/1", json!({"rows": [7, 1]})), Some((7, 1)));
    }

    #[test]
    fn what_is_no_count_is_none() {
        for output in [
            json!(null),
            json!("done"),
            json!({"processedItems": 98}),
            json!({"processedItems": "98", "failedItems": 2}),
            json!({"processedItems": -1, "failedItems": 2}),
            json!({"processedItems": 1.5, "failedItems": 2}),
            json!({"processedItems": 1e300, "failedItems": 2}),
            json!({"processedItems": u64::MAX, "failedItems": 2}),
            json!({"processedItems": (1_u64 << 53) + 1, "failedItems": 2}),
        ] {
            assert_eq!(counts("", output.clone()), None, "{output}");
        }
        assert_eq!(in_output(&OutputPointers::default(), None), None);
        assert_eq!(counts("", json!({"processedItems": 98.0, "failedItems": 0.0})), Some((98, 0)));
    }
}
