use super::{Home, NOW, SECOND, on_every_store, race};
use crate::{
    crypto::Digest,
    store::{InteractionId, Login},
};

on_every_store!(
    a_login_is_taken_once_as_it_was_kept,
    a_strange_browser_takes_nothing,
    a_login_is_over_at_its_end,
    of_32_that_take_a_login_one_gets_it,
);

async fn a_login_is_taken_once_as_it_was_kept(home: Home) {
    let store = home.store().await;
    let bare = Login { sealed_verifier: None, interaction: None, state: Digest::of("bare"), ..login() };
    for login in [login(), bare] {
        store.create_login(&login).await.unwrap();
        assert_eq!(store.take_login(&login.state, &login.browser, NOW).await.unwrap(), Some(login.clone()));
        assert_eq!(store.take_login(&login.state, &login.browser, NOW).await.unwrap(), None);
    }
}

async fn a_strange_browser_takes_nothing(home: Home) {
    let store = home.store().await;
    let login = login();
    store.create_login(&login).await.unwrap();
    assert_eq!(store.take_login(&login.state, &Digest::of("stranger"), NOW).await.unwrap(), None);
    assert_eq!(store.take_login(&Digest::of("guess"), &login.browser, NOW).await.unwrap(), None);
    assert_eq!(store.take_login(&login.state, &login.browser, NOW).await.unwrap(), Some(login));
}

async fn a_login_is_over_at_its_end(home: Home) {
    let store = home.store().await;
    let login = login();
    store.create_login(&login).await.unwrap();
    assert_eq!(store.take_login(&login.state, &login.browser, login.expires_at).await.unwrap(), None);
    assert!(store.take_login(&login.state, &login.browser, login.expires_at.minus(SECOND)).await.unwrap().is_some());
}

async fn of_32_that_take_a_login_one_gets_it(home: Home) {
    let store = home.store().await;
    let login = login();
    store.create_login(&login).await.unwrap();
    let (state, browser) = (login.state, login.browser);
    let taken = race(&store, move |store, _| async move { store.take_login(&state, &browser, NOW).await.unwrap() });
    assert_eq!(taken.await.into_iter().flatten().collect::<Vec<_>>(), [login]);
}

fn login() -> Login {
    Login {
        state: Digest::of("state"),
        browser: Digest::of("browser"),
        nonce: "nonce".to_owned(),
        sealed_verifier: Some(vec![0, 1, 255]),
        redirect_uri: "https://gateway.example.com/oauth/callback".to_owned(),
        interaction: Some(InteractionId("interaction".to_owned())),
        expires_at: NOW.plus(600 * SECOND),
    }
}
