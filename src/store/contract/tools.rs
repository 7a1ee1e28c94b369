use super::{Home, NOW, SECOND, on_every_store, race};
use crate::{
    crypto::Digest,
    store::{SeenTool, Sighting, Store, ToolChange, ToolDecision, ToolPin},
};

on_every_store!(
    the_first_definition_counts_and_another_one_waits,
    of_32_that_see_a_tool_first_one_definition_counts,
    a_decision_is_about_what_was_looked_at,
    a_route_has_room_for_so_many_tools_and_what_it_has_can_still_change,
);

fn seen(tool: &str, definition: &str) -> SeenTool {
    SeenTool {
        operation_id: "linear'--".to_owned(),
        tool: tool.to_owned(),
        digest: Digest::of(definition),
        definition: definition.to_owned(),
    }
}

fn decision(tool: &str, accepted: bool) -> ToolDecision {
    let (operation_id, tool) = (seen(tool, "").operation_id, tool.to_owned());
    ToolDecision { operation_id, tool, accepted, by: "ada@example.com".to_owned(), at: NOW.plus(9 * SECOND) }
}

async fn pin(store: &dyn Store) -> ToolPin {
    let pins = store.tool_pins().await.unwrap();
    assert_eq!(pins.len(), 1);
    pins[0].clone()
}

async fn the_first_definition_counts_and_another_one_waits(home: Home) {
    let store = home.store().await;
    let (one, two) = (seen("é", "one"), seen("é", "two"));
    assert_eq!(store.see_tool(&one, NOW).await.unwrap(), Sighting::First);
    assert_eq!(store.see_tool(&one, NOW).await.unwrap(), Sighting::Known);
    let (operation_id, tool) = (one.operation_id.clone(), one.tool.clone());
    let expected =
        ToolPin { operation_id: operation_id.clone(), tool: tool.clone(), accepted: one.digest, changed: None };
    assert_eq!(pin(&*store).await, expected);
    assert!(store.tool_changes(9).await.unwrap().is_empty());
    assert_eq!(store.waiting_tools().await.unwrap(), 0);

    assert_eq!(store.see_tool(&two, NOW.plus(SECOND)).await.unwrap(), Sighting::Changed);
    assert_eq!(store.see_tool(&two, NOW.plus(2 * SECOND)).await.unwrap(), Sighting::Known);
    assert_eq!(store.see_tool(&one, NOW.plus(3 * SECOND)).await.unwrap(), Sighting::Known, "it goes on waiting");
    assert_eq!(pin(&*store).await, ToolPin { changed: Some(two.digest), ..expected });
    let change = ToolChange {
        operation_id,
        tool,
        definition: "one".to_owned(),
        changed: two.digest,
        changed_definition: "two".to_owned(),
        seen_at: NOW,
        changed_at: NOW.plus(SECOND),
    };
    assert_eq!(store.tool_changes(9).await.unwrap(), [change]);
    assert!(store.tool_changes(0).await.unwrap().is_empty());
    assert_eq!(store.waiting_tools().await.unwrap(), 1);
    assert_eq!(store.see_tool(&seen("é", "three"), NOW).await.unwrap(), Sighting::Changed);
    assert_eq!(pin(&*store).await.changed, Some(Digest::of("three")));
}

async fn of_32_that_see_a_tool_first_one_definition_counts(home: Home) {
    let store = home.store().await;
    let sightings = race(&store, |store, number| async move {
        store.see_tool(&seen("a", &format!("definition {}", number % 2)), NOW).await.unwrap()
    })
    .await;
    let count = |kind| sightings.iter().filter(|sighting| **sighting == kind).count();
    assert_eq!((count(Sighting::First), count(Sighting::Changed)), (1, 1));
    let ToolPin { accepted, changed, .. } = pin(&*store).await;
    assert!(changed.is_some_and(|changed| changed != accepted));
}

async fn a_decision_is_about_what_was_looked_at(home: Home) {
    let store = home.store().await;
    for definition in ["one", "two"] {
        store.see_tool(&seen("a", definition), NOW).await.unwrap();
    }
    let (accept, keep) = (decision("a", true), decision("a", false));
    for (decision, changed) in [
        (&accept, "one"),
        (&accept, "three"),
        (&keep, "three"),
        (&decision("b", true), "two"),
        (&ToolDecision { operation_id: "other".to_owned(), ..accept.clone() }, "two"),
    ] {
        assert!(!store.decide_tool(decision, &Digest::of(changed)).await.unwrap(), "{decision:?} {changed}");
    }
    assert!(store.tool_decisions(9).await.unwrap().is_empty());
    assert!(store.decide_tool(&keep, &Digest::of("two")).await.unwrap());
    assert_eq!((pin(&*store).await.accepted, pin(&*store).await.changed), (Digest::of("one"), None));
    assert_eq!(store.tool_decisions(9).await.unwrap(), [keep]);

    assert_eq!(store.see_tool(&seen("a", "two"), NOW).await.unwrap(), Sighting::Changed, "it comes again");
    let accepted =
        race(
            &store,
            |store, _| async move { store.decide_tool(&decision("a", true), &Digest::of("two")).await.unwrap() },
        )
        .await;
    assert_eq!(accepted.iter().filter(|won| **won).count(), 1);
    assert_eq!((pin(&*store).await.accepted, pin(&*store).await.changed), (Digest::of("two"), None));
    assert_eq!(store.tool_decisions(9).await.unwrap(), [accept]);
    assert_eq!(store.see_tool(&seen("a", "one"), NOW).await.unwrap(), Sighting::Changed);
}

async fn a_route_has_room_for_so_many_tools_and_what_it_has_can_still_change(home: Home) {
    let store = home.store().await;
    for number in 0..crate::store::tools::MAX_TOOLS {
        assert_eq!(store.see_tool(&seen(&number.to_string(), "one"), NOW).await.unwrap(), Sighting::First);
    }
    assert_eq!(store.see_tool(&seen("another", "one"), NOW).await.unwrap(), Sighting::Known);
    assert_eq!(store.tool_pins().await.unwrap().len(), crate::store::tools::MAX_TOOLS);
    assert_eq!(store.see_tool(&seen("7", "two"), NOW).await.unwrap(), Sighting::Changed);
    let other = SeenTool { operation_id: "other".to_owned(), ..seen("another", "one") };
    assert_eq!(store.see_tool(&other, NOW).await.unwrap(), Sighting::First);
}
