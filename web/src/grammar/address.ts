/** Hosts, addresses and the headers that hold addresses (RFC 3261 19.1, 20.10). */
import type { NameAddrHeader } from 'jssip/lib/NameAddrHeader';
import type { URI } from 'jssip/lib/URI';
import {
  EQUAL,
  PORT,
  QUOTED,
  SEMI,
  SPACES,
  SWS,
  TOKEN,
  all,
  any,
  bare,
  exactly,
  field,
  integer,
  list,
  lower,
  many,
  maybe,
  of,
  re,
  type Reader,
  type Rule,
  type Step,
} from './reader.ts';

const OCTET = re`(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)`;
const FOUR = re`${OCTET}(?:\.${OCTET}){3}`;
const HEX = re`[\da-f]{1,4}`;
const LAST = re`(?:${HEX}:${HEX}|${FOUR})`; // 32 bits
// "::" first, inside with so many groups after it, or last.
const inside = [4, 3, 2, 1, 0].map((n) => re`${HEX}(?::${HEX}){0,${4 - n}}::(?:${HEX}:){${n}}${LAST}`.source);
const SIX = re`(?:(?:${HEX}:){6}${LAST}|::(?:(?:${HEX}:){0,5}${LAST}|${HEX})|${inside.join('|')}|${HEX}(?::${HEX}){0,5}::${HEX}|${HEX}(?::${HEX}){0,6}::)`;
const BRACKETED = re`\[${SIX}\]`;
const NAME = re`(?:[a-z\d][\w-]*\.)*[a-z][\w-]*(?![\w.-])`;

const typed = (what: RegExp, type: string) => (r: Reader): string | undefined => {
  const host = r.take(what);
  if (host !== undefined) r.data.host_type = type;
  return host;
};

export const hostname = typed(NAME, 'domain');
export const ip4 = typed(FOUR, 'IPv4');
export const ip6 = typed(SIX, 'IPv6');
export const bracketed = typed(BRACKETED, 'IPv6');

/** Any host is the value's own. */
export const host: Rule = (r) => r.keep('host', (hostname(r) ?? ip4(r) ?? bracketed(r))?.toLowerCase());

const hostPort = all(host, maybe(re`:`, field('port', PORT, integer)));

const USER = re`${of('&=+$,;?/')}+(?::(${of('&=+$,')}*))?(@)?`;

function userInfo(r: Reader): boolean {
  const m = r.match(USER);
  r.keep('password', m?.[1]);
  return !!m?.[2] && r.keep('user', decodeURIComponent(m[0].slice(0, -1)));
}

const METHOD = exactly(re`INVITE|ACK|OPTIONS|BYE|CANCEL|REGISTER|SUBSCRIBE|NOTIFY|REFER|${TOKEN}`);

/** A method anywhere is the value's own. */
export const method: Rule = (r) => r.keep('method', r.take(METHOD));

/** A rule for a parameter that is noted, under a name of its own or the one before it. */
export function noted(kind: string, name: string, value: RegExp, as: (s: string) => string | number, equal = EQUAL): Rule {
  const what = re`${name}${equal}(${value})`;
  return (r) => {
    const s = r.take(what);
    return s !== undefined && r.note(name, as(s), kind);
  };
}

const IS = re`=`;
const PAIR = re`(${of('[\\]/:&+$')}+)(?:=(${of('[\\]/:&+$')}+))?`;

const uriParam = any(
  noted('uri_params', 'transport', re`udp|tcp|sctp|tls|${TOKEN}`, lower, IS),
  noted('uri_params', 'user', re`phone|ip|${TOKEN}`, lower, IS),
  all(re`method=`, method, (r) => r.note('method', r.data.method, 'uri_params')),
  noted('params', 'ttl', re`\d{1,3}`, integer, IS), // among the header's, as JsSIP has it
  all(re`maddr=`, host, (r) => r.note('maddr', r.data.host, 'uri_params')),
  all(re`lr(?:=${TOKEN})?`, (r) => r.note('lr', undefined, 'uri_params')),
  (r) => {
    const m = r.match(PAIR);
    return m !== null && r.note(lower(m[1]!), m[2], 'uri_params');
  },
);

const URI_HEADER = re`(${of('[\\]/?:+$')}+)=(${of('[\\]/?:+$')}*)`;

function uriHeader(r: Reader): boolean {
  const m = r.match(URI_HEADER);
  if (!m) return false;
  const headers: Record<string, string[]> = (r.data.uri_headers ??= {});
  const name = lower(m[1]!);
  if (!Object.hasOwn(headers, name)) headers[name] = [];
  headers[name]!.push(m[2]!);
  return true;
}

const SCHEME = re`(sips?):`;

/** The start of an address, up to its parameters: outside of angle brackets those are the header's. */
const uriStart = all((r) => r.keep('scheme', r.take(SCHEME)?.toLowerCase()), maybe(userInfo), hostPort);

/** Makes the address of what was noted. JsSIP's classes are asked for late: its modules import each other in a circle. */
function makeURI(r: Reader, ...more: unknown[]): true {
  const made: new (...parts: unknown[]) => URI = require('jssip/lib/URI');
  const d = r.data;
  d.uri = new made(d.scheme, d.user, d.host, d.port, ...more);
  for (const part of ['scheme', 'user', 'host', 'host_type', 'port', 'uri_params']) delete d[part];
  return true;
}

/** A SIP or SIPS address with all that may be in it. */
export const sipURI = all(
  uriStart,
  many(re`;`, uriParam),
  maybe(re`\?`, uriHeader, many(re`&`, uriHeader)),
  (r) => makeURI(r, r.data.uri_params, r.data.uri_headers),
);

const ANY_SCHEME = re`([a-z][a-z\d+\-.]*):`;
const URIC = of(';/?:@&=+$,');
const PATH = re`/${of(':@&=+$,;/')}*`;
const QUERY = re`(?:\?${URIC}*)?`;

/** An address of any scheme (RFC 2396). User and host are parted by two "@", as JsSIP has it. */
export const absoluteURI = all(
  (r) => r.keep('scheme', r.take(ANY_SCHEME)),
  any(
    all(re`//`, maybe(maybe(userInfo, re`@`), hostPort), re`(?:${PATH})?${QUERY}`),
    re`${PATH}${QUERY}|${of(';?:@&=+$,')}${URIC}*`,
  ),
);

const WORDS = re`${TOKEN}(?:${SPACES}${TOKEN})*`;

const displayName = any(
  field('display_name', WORDS, (s) => s.replace(/\s+/g, ' ')),
  field('display_name', QUOTED, bare),
);

/** An address in angle brackets. */
export const nameAddr = all(maybe(displayName), re`${SWS}<`, sipURI, re`>${SWS}`);

/** The same after any number of names. */
export const namedAddr = all(many(displayName), nameAddr);

/** An address with or without angle brackets. */
export const anyAddr = any(all(uriStart, (r) => makeURI(r)), nameAddr);

/** Any parameter of a header: what no special rule took. */
function generic(r: Reader): boolean {
  const name = r.take(TOKEN)?.toLowerCase();
  if (name === undefined) return false;
  let value: string | undefined;
  r.try(EQUAL, (r) => (value = r.take(TOKEN) ?? (host(r) ? r.data.host : r.take(QUOTED))) !== undefined);
  return r.note(name, value);
}

/** Parameters, each after a semicolon: special ones or any. */
export const params = (...special: Step[]): Rule => many(SEMI, any(...special, generic));

function makeHeader(r: Reader): NameAddrHeader {
  const made: new (...parts: unknown[]) => NameAddrHeader = require('jssip/lib/NameAddrHeader');
  const { uri, display_name, params } = r.data;
  return new made(uri, display_name, params);
}

/** A header that is one address. A tag is set last, as JsSIP does: parameters are written in that order again. */
export const address = (first: Step, ...special: Step[]): Rule =>
  all(first, params(...special), (r) => {
    const { tag } = r.data;
    r.data = makeHeader(r);
    if (tag) r.data.setParam('tag', tag);
    return true;
  });

/** A header that lists addresses. JsSIP's names: each goes from "offset" to "possition" in the value. */
export function addresses(first: Step, ...special: Step[]): Rule {
  const one = all(first, params(...special));
  return (r) => {
    const found: object[] = [];
    const ok = list((r) => {
      const offset = r.at;
      if (!one(r)) return false;
      found.push({ possition: r.at, offset, parsed: makeHeader(r) });
      delete r.data.display_name;
      delete r.data.params;
      return true;
    })(r);
    r.data = found;
    return ok;
  };
}
