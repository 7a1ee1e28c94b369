// The application side of the SDKs' `OAuthClientProvider`, of v1 and v2 alike: a store in memory. All
// OAuth is done by the SDK.
import { randomBytes } from 'node:crypto';

export class MemoryProvider {
  constructor({ name, authMethod = 'none', report }) {
    Object.assign(this, { name, authMethod, report });
    // Nothing listens there: the browser hands the redirect over instead of following it.
    this.redirectUrl = `http://127.0.0.1:${40000 + Math.floor(Math.random() * 20000)}/callback/${randomBytes(6).toString('hex')}`;
    report.secret(this.redirectUrl);
  }

  get clientMetadata() {
    return {
      client_name: this.name,
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: this.authMethod,
    };
  }

  state() {
    this.expectedState = randomBytes(24).toString('base64url');
    this.report.secret(this.expectedState, 'state');
    return this.expectedState;
  }

  clientInformation() {
    return this.client;
  }

  saveClientInformation(client) {
    this.report.secret(client.client_secret);
    this.client = client;
  }

  tokens() {
    return this.stored;
  }

  saveTokens(tokens) {
    this.report.secret(tokens.access_token);
    this.report.secret(tokens.refresh_token);
    this.stored = tokens;
  }

  redirectToAuthorization(url) {
    this.authorizationUrl = url;
  }

  saveCodeVerifier(verifier) {
    this.report.secret(verifier);
    this.verifier = verifier;
  }

  codeVerifier() {
    return this.verifier;
  }

  saveDiscoveryState(state) {
    this.discovery = state;
  }

  discoveryState() {
    return this.discovery;
  }

  invalidateCredentials(scope) {
    if (scope === 'all' || scope === 'client') this.client = undefined;
    if (scope === 'all' || scope === 'tokens') this.stored = undefined;
    if (scope === 'all' || scope === 'discovery') this.discovery = undefined;
  }

  /** Leaves the refresh token and makes the access token one that the gateway never issued. */
  spoilAccessToken() {
    this.stored = { ...this.stored, access_token: `at_${randomBytes(32).toString('base64url')}` };
  }
}
