use super::{DAY, Home, NOW, SECOND, client, on_every_store};
use crate::{
    crypto::Digest,
    store::{AuthMethod, Client, ClientId, ClientKeys, Error},
};

on_every_store!(
    a_kept_client_comes_back_as_it_was,
    an_unknown_client_is_none,
    a_second_client_of_one_identifier_is_an_error,
    touching_moves_the_last_use_forward_and_never_back,
    touching_an_unknown_client_is_no_error,
    a_method_that_the_program_does_not_know_is_reported,
);

async fn a_kept_client_comes_back_as_it_was(home: Home) {
    let store = home.store().await;
    let public = client("dcr:public");
    let basic = Client {
        id: ClientId::new("dcr:basic"),
        name: None,
        uri: Some("https://example.com/über?a=1&b='2'".to_owned()),
        redirect_uris: Vec::new(),
        auth_method: AuthMethod::ClientSecretBasic,
        secret_digest: Some(Digest::of("secret")),
        last_used_at: NOW.plus(SECOND),
        ..public.clone()
    };
    let post = Client { id: ClientId::new("dcr:post"), auth_method: AuthMethod::ClientSecretPost, ..basic.clone() };
    let keys = |keys| Client {
        id: ClientId::new(format!("dcr:{keys:?}")),
        auth_method: AuthMethod::PrivateKeyJwt,
        secret_digest: None,
        keys: Some(keys),
        ..basic.clone()
    };
    let inline = keys(ClientKeys::Inline(serde_json::json!({"keys": [{"kty": "EC", "x": "'ü'"}]})));
    let at = keys(ClientKeys::At("https://client.example/keys".parse().unwrap()));
    for client in [public, basic, post, inline, at] {
        store.create_client(&client).await.unwrap();
        assert_eq!(store.client(&client.id).await.unwrap(), Some(client));
    }
}

async fn an_unknown_client_is_none(home: Home) {
    let store = home.store().await;
    store.create_client(&client("dcr:ada")).await.unwrap();
    assert_eq!(store.client(&ClientId::new("dcr:ADA")).await.unwrap(), None);
    assert_eq!(store.client(&ClientId::new("")).await.unwrap(), None);
}

async fn a_second_client_of_one_identifier_is_an_error(home: Home) {
    let store = home.store().await;
    let first = client("dcr:ada");
    store.create_client(&first).await.unwrap();
    let second = Client { name: None, ..first.clone() };
    assert!(matches!(store.create_client(&second).await, Err(Error::Failed(_))));
    assert_eq!(store.client(&first.id).await.unwrap(), Some(first));
}

async fn touching_moves_the_last_use_forward_and_never_back(home: Home) {
    let store = home.store().await;
    let client = client("dcr:ada");
    store.create_client(&client).await.unwrap();
    for (touched, expected) in [(DAY, DAY), (SECOND, DAY), (2 * DAY, 2 * DAY)] {
        store.touch_client(&client.id, NOW.plus(touched)).await.unwrap();
        assert_eq!(store.client(&client.id).await.unwrap().unwrap().last_used_at, NOW.plus(expected));
    }
}

async fn touching_an_unknown_client_is_no_error(home: Home) {
    let store = home.store().await;
    store.touch_client(&ClientId::new("dcr:nobody"), NOW).await.unwrap();
    assert_eq!(store.client(&ClientId::new("dcr:nobody")).await.unwrap(), None);
}

async fn a_method_that_the_program_does_not_know_is_reported(home: Home) {
    let store = home.store().await;
    let client = client("dcr:ada");
    store.create_client(&client).await.unwrap();
    home.execute("UPDATE clients SET auth_method = 'tls_client_auth'").await;
    assert!(matches!(store.client(&client.id).await, Err(Error::Corrupt { what: "auth_method", .. })));
    home.execute("UPDATE clients SET auth_method = 'none', keys = '{}'").await;
    assert!(matches!(store.client(&client.id).await, Err(Error::Corrupt { what: "keys", .. })));
    home.execute("UPDATE clients SET keys = NULL, redirect_uris = '[1]'").await;
    assert!(matches!(store.client(&client.id).await, Err(Error::Corrupt { what: "redirect_uris", .. })));
}
