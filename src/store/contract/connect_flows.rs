use super::{Home, NOW, SECOND, connect_flow, on_every_store, race};
use crate::{
    crypto::Digest,
    store::{ConnectFlow, ConnectionKey, Owner},
};

on_every_store!(
    a_connect_flow_is_taken_once_as_it_was_kept,
    a_strange_session_takes_no_connect_flow,
    a_connect_flow_is_over_at_its_end,
    of_32_that_take_a_connect_flow_one_gets_it,
    a_state_names_one_connect_flow,
);

async fn a_connect_flow_is_taken_once_as_it_was_kept(home: Home) {
    let store = home.store().await;
    let bare = ConnectFlow {
        key: ConnectionKey { owner: Owner::Shared, upstream_id: "linear".to_owned() },
        sealed_details: Vec::new(),
        interaction: None,
        ..connect_flow("bare")
    };
    for flow in [connect_flow("state"), bare] {
        store.create_connect_flow(&flow).await.unwrap();
        assert_eq!(store.take_connect_flow(&flow.state, &flow.session, NOW).await.unwrap(), Some(flow.clone()));
        assert_eq!(store.take_connect_flow(&flow.state, &flow.session, NOW).await.unwrap(), None);
    }
}

/// RFC 9700 section 4.7: the state is bound to the browser session, so a link sent to somebody else connects nothing.
async fn a_strange_session_takes_no_connect_flow(home: Home) {
    let store = home.store().await;
    let flow = connect_flow("state");
    store.create_connect_flow(&flow).await.unwrap();
    assert_eq!(store.take_connect_flow(&flow.state, &Digest::of("stranger"), NOW).await.unwrap(), None);
    assert_eq!(store.take_connect_flow(&Digest::of("guess"), &flow.session, NOW).await.unwrap(), None);
    assert_eq!(store.take_connect_flow(&flow.state, &flow.session, NOW).await.unwrap(), Some(flow));
}

async fn a_connect_flow_is_over_at_its_end(home: Home) {
    let store = home.store().await;
    let flow = connect_flow("state");
    store.create_connect_flow(&flow).await.unwrap();
    assert_eq!(store.take_connect_flow(&flow.state, &flow.session, flow.expires_at).await.unwrap(), None);
    let in_time = flow.expires_at.minus(SECOND);
    assert_eq!(store.take_connect_flow(&flow.state, &flow.session, in_time).await.unwrap(), Some(flow));
}

async fn of_32_that_take_a_connect_flow_one_gets_it(home: Home) {
    let store = home.store().await;
    let flow = connect_flow("state");
    store.create_connect_flow(&flow).await.unwrap();
    let (state, session) = (flow.state, flow.session);
    let taken = race(&store, move |store, number| async move {
        let session = if number % 4 == 0 { Digest::of("stranger") } else { session };
        store.take_connect_flow(&state, &session, NOW).await.unwrap()
    });
    assert_eq!(taken.await.into_iter().flatten().collect::<Vec<_>>(), [flow]);
}

async fn a_state_names_one_connect_flow(home: Home) {
    let store = home.store().await;
    let flow = connect_flow("state");
    store.create_connect_flow(&flow).await.unwrap();
    let other = ConnectFlow { session: Digest::of("stranger"), ..flow.clone() };
    store.create_connect_flow(&other).await.unwrap_err();
    assert_eq!(store.take_connect_flow(&flow.state, &flow.session, NOW).await.unwrap(), Some(flow));
}
