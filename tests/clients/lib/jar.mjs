// A cookie jar that behaves as browsers do: by host, not by port, with path, expiry and HttpOnly.
export class CookieJar {
  constructor(cookies = []) {
    this.cookies = cookies;
  }

  /** Keeps what the `Set-Cookie` values of a response from `url` say. */
  store(url, values) {
    for (const value of values) {
      const [pair, ...attributes] = value.split(';').map((part) => part.trim());
      const cookie = { host: url.hostname, path: url.pathname.replace(/[^/]*$/, '').replace(/(.)\/$/, '$1') };
      cookie.name = pair.slice(0, pair.indexOf('='));
      cookie.value = pair.slice(pair.indexOf('=') + 1);
      let expires = Infinity;
      for (const attribute of attributes) {
        const [name, ...rest] = attribute.split('=');
        const text = rest.join('=');
        if (/^path$/i.test(name) && text.startsWith('/')) cookie.path = text;
        if (/^secure$/i.test(name)) cookie.secure = true;
        if (/^expires$/i.test(name) && expires === Infinity) expires = Date.parse(text);
        if (/^max-age$/i.test(name)) expires = Date.now() + Number(text) * 1000;
        if (/^samesite$/i.test(name)) cookie.sameSite = text;
        if (/^httponly$/i.test(name)) cookie.httpOnly = true;
      }
      if (expires !== Infinity) cookie.expires = expires;
      this.cookies = this.cookies.filter(
        (old) => !(old.host === cookie.host && old.path === cookie.path && old.name === cookie.name),
      );
      if (!(expires <= Date.now())) this.cookies.push(cookie);
    }
  }

  /** The `Cookie` header for a request to `url`, or an empty text. */
  header(url) {
    return this.cookies
      .filter((cookie) => cookie.host === url.hostname && !(cookie.expires <= Date.now()))
      .filter(({ path }) => url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`))
      .sort((a, b) => b.path.length - a.path.length)
      .map((cookie) => `${cookie.name}=${cookie.value}`)
      .join('; ');
  }
}
