//! What the consent page asks: which upstreams of a route this person has still to connect.

use async_trait::async_trait;

use super::Connect;
use crate::{
    interaction::{ConnectPrompts, Dependency, DependencyState},
    routes::Route,
    store::{self, InteractionId, Owner, User},
    upstream::connections::{connect_path, key_for, oauth_settings},
};

#[async_trait]
impl ConnectPrompts for Connect {
    async fn dependencies(
        &self,
        user: &User,
        route: &Route,
        interaction: &InteractionId,
    ) -> store::Result<Vec<Dependency>> {
        let Some(server) = self.servers.of(&route.operation_id) else { return Ok(Vec::new()) };
        let (state, scopes) = match key_for(&user.subject, server) {
            None => (DependencyState::NothingNeeded, Vec::new()),
            Some(key) => {
                let state = match self.connections.need(&user.subject, server).await? {
                    None => DependencyState::Connected,
                    Some(_) if key.owner == Owner::Shared && !self.is_admin(user) => {
                        DependencyState::NeedsAdministrator
                    }
                    Some(_) => {
                        DependencyState::NeedsConnection { connect: self.begin_path(server, route, interaction) }
                    }
                };
                (state, oauth_settings(server).map(|settings| settings.scopes.clone()).unwrap_or_default())
            }
        };
        Ok(vec![Dependency { title: route.upstream_title.clone(), scopes, state }])
    }

    fn is_open_to(&self, user: &User, route: &Route) -> bool {
        self.settings.policies.may_use(&route.operation_id, &user.claims)
    }
}

impl Connect {
    fn begin_path(&self, server: &super::Server, route: &Route, interaction: &InteractionId) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("redirect", "true")
            .append_pair("operationId", &route.operation_id)
            .append_pair("interaction", &interaction.0)
            .finish();
        format!("{}?{query}", self.settings.base_path.path(&connect_path(&server.id)))
    }
}
