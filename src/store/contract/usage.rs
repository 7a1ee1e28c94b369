use super::{Home, NOW, SECOND, on_every_store, race};
use crate::store::{Dimension, HOURS_ARE_KEPT_FOR, MINUTES_ARE_KEPT_FOR, Store, Usage, UsageKey, UsageQuery, UsageSum};

on_every_store!(
    usage_of_many_replicas_adds_up,
    usage_is_looked_at_by_value_and_within_a_time,
    only_what_was_asked_for_is_added_up,
    old_usage_is_removed,
);

fn usage(tool: &str, outcome: &str, calls: i64) -> Usage {
    let mut usage = Usage {
        key: UsageKey {
            operation_id: "linear".to_owned(),
            method: "tools/call".to_owned(),
            capability: tool.to_owned(),
            outcome: outcome.to_owned(),
            ..UsageKey::default()
        },
        calls,
        gateway: [0; 12],
        upstream: [0; 12],
    };
    (usage.gateway[1], usage.upstream[11]) = (calls, calls);
    usage
}

fn query(by: Dimension) -> UsageQuery {
    UsageQuery { from: NOW.minus(60 * SECOND), until: NOW.plus(60 * SECOND), only: Vec::new(), by, limit: 10 }
}

async fn sums(store: &dyn Store, query: &UsageQuery) -> Vec<(String, i64)> {
    store.usage(query).await.unwrap().into_iter().map(|sum| (sum.value, sum.calls)).collect()
}

async fn usage_of_many_replicas_adds_up(home: Home) {
    let store = home.store().await;
    race(&store, |store, _| async move {
        let rows = [usage("a", "success", 2), usage("b'; --\u{e9}", "failure", 1)];
        store.add_usage(NOW, &rows).await.unwrap();
    })
    .await;
    let found = store.usage(&query(Dimension::Capability)).await.unwrap();
    let mut buckets = [0; 12];
    buckets[1] = 64;
    let mut upstream = [0; 12];
    upstream[11] = 64;
    let expected =
        UsageSum { value: "a".to_owned(), calls: 64, failures: 0, denied: 0, errors: 0, gateway: buckets, upstream };
    assert_eq!(found[0], expected);
    assert_eq!((&*found[1].value, found[1].calls, found[1].failures), ("b'; --\u{e9}", 32, 32));
    assert_eq!(found.len(), 2);
}

async fn usage_is_looked_at_by_value_and_within_a_time(home: Home) {
    let store = home.store().await;
    for (outcome, calls) in [("success", 1), ("denied", 2), ("application_error", 3), ("partial", 4)] {
        store.add_usage(NOW, &[usage("a", outcome, calls)]).await.unwrap();
    }
    store.add_usage(NOW.minus(3600 * SECOND), &[usage("a", "success", 100)]).await.unwrap();
    let found = store.usage(&query(Dimension::Route)).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].calls, found[0].failures, found[0].denied, found[0].errors), (10, 4, 2, 3));
    assert_eq!(sums(&*store, &query(Dimension::Time)).await.len(), 1);
    let day = UsageQuery { from: NOW.minus(24 * 3600 * SECOND), ..query(Dimension::Method) };
    assert_eq!(sums(&*store, &day).await, [("tools/call".to_owned(), 110)]);
    let limited = UsageQuery { limit: 1, ..query(Dimension::Outcome) };
    assert_eq!(sums(&*store, &limited).await, [("partial".to_owned(), 4)]);
    for by in [Dimension::User, Dimension::Client, Dimension::Origin, Dimension::Reason] {
        assert_eq!(sums(&*store, &query(by)).await, [(String::new(), 10)]);
    }
}

async fn only_what_was_asked_for_is_added_up(home: Home) {
    let store = home.store().await;
    store.add_usage(NOW, &[usage("a", "success", 1), usage("b", "success", 2)]).await.unwrap();
    let only = vec![(Dimension::Capability, "b".to_owned()), (Dimension::Route, "linear".to_owned())];
    let query = UsageQuery { only, ..query(Dimension::Outcome) };
    assert_eq!(sums(&*store, &query).await, [("success".to_owned(), 2)]);
    let nothing = UsageQuery { only: vec![(Dimension::Capability, "x".to_owned())], ..query };
    assert!(sums(&*store, &nothing).await.is_empty());
}

async fn old_usage_is_removed(home: Home) {
    let store = home.store().await;
    store.add_usage(NOW, &[usage("a", "success", 1)]).await.unwrap();
    let rows = || home.number("SELECT count(*) FROM usage_rollups");
    assert_eq!(rows().await, 2);
    let minutes_end = NOW.plus(MINUTES_ARE_KEPT_FOR).plus(60 * SECOND);
    store.remove_expired(minutes_end, NOW).await.unwrap();
    assert_eq!(rows().await, 1);
    store.remove_expired(NOW.plus(HOURS_ARE_KEPT_FOR).plus(3600 * SECOND), NOW).await.unwrap();
    assert_eq!(rows().await, 0);
}
