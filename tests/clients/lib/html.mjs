// Just enough HTML for a scripted browser: the forms and the links of a page.
const decode = (text) => text
  .replace(/&#x([0-9a-f]+);/gi, (_, hex) => String.fromCodePoint(parseInt(hex, 16)))
  .replace(/&#(\d+);/g, (_, dec) => String.fromCodePoint(Number(dec)))
  .replace(/&quot;/g, '"').replace(/&apos;/g, "'").replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');

function attributes(tag) {
  const found = {};
  const inner = tag.replace(/^<\s*[\w-]+/, '').replace(/\/?>$/, '');
  for (const [, name, , double, single, bare] of inner.matchAll(/([^\s"'<>/=]+)(\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?/g)) {
    found[name.toLowerCase()] = decode(double ?? single ?? bare ?? '');
  }
  return found;
}

const tags = (html, name) => [...html.matchAll(new RegExp(`<${name}\\b(?:"[^"]*"|'[^']*'|[^'">])*>`, 'gi'))].map((m) => attributes(m[0]));

/** The forms of a page: where they go, their fields, and the buttons that submit them. */
export function forms(html) {
  const page = html.replace(/<!--[\s\S]*?-->/g, '');
  return [...page.matchAll(/(<form\b(?:"[^"]*"|'[^']*'|[^'">])*>)([\s\S]*?)<\/form>/gi)].map(([, open, inner]) => {
    const { action = '', method = 'get' } = attributes(open);
    const inputs = tags(inner, 'input');
    const buttons = [
      ...tags(inner, 'button').filter(({ type = 'submit' }) => /^submit$/i.test(type)),
      ...inputs.filter(({ type }) => /^(submit|image)$/i.test(type ?? '')),
    ].map((button) => ({ ...button, disabled: 'disabled' in button }));
    const fields = inputs.filter(({ name, type }) => name && !/^(submit|image|button|reset)$/i.test(type ?? ''));
    return { action, method: method.toLowerCase(), fields, buttons };
  });
}

/** The links of a page, with the text that a person reads. */
export const links = (html) => [...html.matchAll(/(<a\b(?:"[^"]*"|'[^']*'|[^'">])*>)([\s\S]*?)<\/a>/gi)]
  .map(([, open, inner]) => ({ href: attributes(open).href, text: decode(inner.replace(/<[^>]*>/g, '')).replace(/\s+/g, ' ').trim() }))
  .filter(({ href }) => href);

export const title = (html) => decode(/<title[^>]*>([\s\S]*?)<\/title>/i.exec(html)?.[1] ?? '').trim();
