//! Percentiles out of buckets, and how people read a duration.

use crate::store::Buckets;

/// The percentile in microseconds, estimated within its bucket; nothing of nothing.
pub(super) fn percentile(buckets: &Buckets, bounds: &[u64; 11], percent: i64) -> Option<f64> {
    let total: i64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = (float(total) * float(percent) / 100.0).max(1.0);
    let mut below = 0.0;
    let mut from = 0.0;
    for (index, count) in buckets.iter().enumerate() {
        // The last bucket has no end; twice its beginning is as good a guess as any.
        let to = bounds.get(index).map_or(from * 2.0, |bound| float(i64::try_from(*bound).unwrap_or(i64::MAX)));
        let count = float(*count);
        if count > 0.0 && below + count >= rank {
            return Some(from + (to - from) * (rank - below) / count);
        }
        below += count;
        from = to;
    }
    Some(from)
}

/// A duration in microseconds, for people.
pub(super) fn shown(micros: f64) -> String {
    if micros < 1_000.0 {
        format!("{micros:.0} µs")
    } else if micros < 10_000.0 {
        format!("{:.1} ms", micros / 1e3)
    } else if micros < 1_000_000.0 {
        format!("{:.0} ms", micros / 1e3)
    } else {
        format!("{:.1} s", micros / 1e6)
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 52 bits")]
fn float(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GATEWAY_BOUNDS;

    #[test]
    fn percentiles_lie_in_their_bucket() {
        assert_eq!(percentile(&[0; 12], &GATEWAY_BOUNDS, 50), None);
        let mut buckets = [0; 12];
        (buckets[1], buckets[3]) = (90, 10);
        let (median, high) =
            (percentile(&buckets, &GATEWAY_BOUNDS, 50).unwrap(), percentile(&buckets, &GATEWAY_BOUNDS, 95).unwrap());
        assert!((100.0..=200.0).contains(&median), "{median}");
        assert!((500.0..=1000.0).contains(&high), "{high}");
        let mut last = [0; 12];
        last[11] = 1;
        assert!((500_000.0..=1_000_000.0).contains(&percentile(&last, &GATEWAY_BOUNDS, 95).unwrap()));
    }

    #[test]
    fn durations_are_short() {
        for (micros, text) in [(80.4, "80 µs"), (1_500.0, "1.5 ms"), (25_000.0, "25 ms"), (2_340_000.0, "2.3 s")] {
            assert_eq!(shown(micros), text);
        }
    }
}
