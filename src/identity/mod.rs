//! Who the person at the browser is: OpenID Connect login, dev login, browser sessions.
