/**
 * What JsSIP asks of its grammar: one function that reads a SIP header's value, an address or a first line (RFC 3261 25.1).
 * The bundler puts this file in the place of JsSIP's own parser, which a generator wrote and which was a quarter of the page.
 *
 * It takes and refuses what that one does and gives the same objects; grammar.test.ts holds the two against each other and
 * lists where they differ. So alternatives are tried in order and the first that fits is kept, also where a later one would
 * fit more ("transport=udpx" is "udp" and a stray "x": refused), and a host or a method anywhere in a value is noted as the
 * value's own.
 */
import {
  absoluteURI,
  address,
  addresses,
  anyAddr,
  bracketed,
  host,
  hostname,
  ip4,
  ip6,
  method,
  nameAddr,
  namedAddr,
  noted,
  params,
  sipURI,
} from './grammar/address.ts';
import {
  EQUAL,
  NUMBER,
  PORT,
  QUOTED,
  Reader,
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
  param,
  re,
  whole,
  type Data,
  type Step,
} from './grammar/reader.ts';

const number = whole(NUMBER, integer);
const tokens = list(TOKEN);
const tag = param('tag', TOKEN);
const SLASH = re`${SWS}/${SWS}`;
const SHORT = re`\d{1,3}`;
const PAIR = re`${TOKEN}${EQUAL}(?:${TOKEN}|${QUOTED})`;
const EVENT = re`[\w\-!%*+\x60'~]+(?:\.[\w\-!%*+\x60'~]+)*`;
const WORD = re`[\w\-.!%*+\x60'~()<>:\\"/[\]?{}]+`;
const CALL_ID = re`${WORD}(?:@${WORD})?`;
const CHAR = re`[!-~\x80-\uffff]`;

const QOP = re`auth-int|auth|${TOKEN}`;

function qop(r: Reader): boolean {
  const value = r.take(QOP)?.toLowerCase();
  if (value === undefined) return false;
  (r.data.qop ??= []).push(value);
  return true;
}

/** RFC 3261 20.44 */
const challenge = any(
  all(
    re`digest${SPACES}`,
    list(
      any(
        param('realm', QUOTED, bare),
        param('nonce', QUOTED, bare),
        param('opaque', QUOTED, bare),
        param('stale', re`true|false`, (s) => lower(s) === 'true'),
        param('algorithm', re`md5|${TOKEN}`, (s) => s.toUpperCase()),
        all(re`qop${EQUAL}${SWS}"`, qop, many(re`,`, qop), re`"${SWS}`),
        PAIR,
      ),
    ),
  ),
  all(TOKEN, SPACES, list(PAIR)),
);

/** RFC 3261 20.42 */
const via = all(
  field('protocol', re`sip|${TOKEN}`),
  SLASH,
  TOKEN,
  SLASH,
  field('transport', re`udp|tcp|tls|sctp|${TOKEN}`),
  SPACES,
  (r) => r.keep('host', ip4(r) ?? bracketed(r) ?? hostname(r)),
  maybe(re`${SWS}:${SWS}`, field('port', PORT, integer)),
  params(
    param('ttl', SHORT, integer),
    all(re`maddr${EQUAL}`, host, (r) => r.keep('maddr', r.data.host)),
    all(re`received${EQUAL}`, (r) => r.keep('received', ip4(r) ?? ip6(r))),
    param('branch', TOKEN),
    all(re`rport`, maybe(EQUAL, field('rport', PORT, integer))),
  ),
);

const VERSION = re`sip/\d+\.\d+`;
const SPACE = re` `;

const statusLine = all(
  field('sip_version', VERSION),
  SPACE,
  field('status_code', re`\d{3}`, integer),
  SPACE,
  field('reason_phrase', re`${of(';/?:@&=+$, \\t\\x80-\\uffff')}*`),
);

const requestLine = all(method, SPACE, any(sipURI, absoluteURI), SPACE, field('sip_version', VERSION));

/** RFC 3326; a text in quotes is a field of its own. */
const reason = all(field('protocol', re`sip|${TOKEN}`, lower), params(param('cause', NUMBER, integer)), (r) => {
  const params = (r.data.params ??= {});
  if (params.text?.[0] === '"') {
    r.data.text = params.text.slice(1, -1);
    delete params.text;
  }
  return true;
});

/** The rules by JsSIP's names: of headers, with "_" for "-", and what else it asks for. */
const rules: Record<string, Step> = {
  Allow_Events: list(EVENT),
  Call_ID: whole(CALL_ID),
  Contact: addresses(
    anyAddr,
    noted('params', 'q', re`0(?:\.\d{0,3})?`, parseFloat),
    noted('params', 'expires', NUMBER, integer),
  ),
  Content_Disposition: all(
    re`render|session|icon|alert|${TOKEN}`,
    params(re`handling${EQUAL}(?:optional|required|${TOKEN})`),
  ),
  Content_Encoding: tokens,
  Content_Length: number,
  Content_Type: all(
    re`text|image|audio|video|application|${TOKEN}`,
    SLASH,
    TOKEN,
    many(SEMI, PAIR),
    (r) => {
      r.data = r.input;
      return true;
    },
  ),
  CSeq: all(field('value', NUMBER, integer), SPACES, method),
  Event: all(field('event', EVENT, lower), params()),
  Expires: number,
  From: address(anyAddr, tag),
  Max_Forwards: number,
  Min_Expires: number,
  Name_Addr_Header: address(namedAddr),
  Proxy_Authenticate: challenge,
  Proxy_Require: tokens,
  Reason: reason,
  Record_Route: addresses(nameAddr),
  Refer_To: address(anyAddr),
  Replaces: all(
    field('call_id', CALL_ID),
    params(
      field('to_tag', exactly(re`to-tag${EQUAL}(${TOKEN})`)),
      field('from_tag', exactly(re`from-tag${EQUAL}(${TOKEN})`)),
      field('early_only', /early-only/y, () => true),
    ),
  ),
  Request_Response: any(statusLine, requestLine),
  Require: tokens,
  Route: list(all(nameAddr, params())),
  SIP_URI: all(sipURI, (r) => {
    r.data = r.data.uri;
    return true;
  }),
  Session_Expires: all(field('expires', NUMBER, integer), params(param('refresher', re`uac|uas`, lower))),
  Status_Line: statusLine,
  Subject: re`(?:${CHAR}(?:(?:[ \t]|\r\n(?=[ \t]))*${CHAR})*)?`,
  Subscription_State: all(
    field('state', re`active|pending|terminated|${TOKEN}`),
    params(
      param('reason', re`deactivated|probation|rejected|timeout|giveup|noresource|invariant|${TOKEN}`),
      param('expires', NUMBER, integer),
      param('retry_after', NUMBER, integer),
    ),
  ),
  Supported: maybe(tokens),
  To: address(anyAddr, tag),
  Via: list(via),
  WWW_Authenticate: challenge,
  absoluteURI,
  host,
  quoted_string: QUOTED,
  uuid: whole(re`[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}`),
};

/**
 * Reads all of a value by the rule of that name: what it holds, or -1 if it isn't well-formed. Throws an Error if JsSIP has
 * no such rule or never asks for it.
 */
export function parse(input: string, startRule: string): Data {
  if (!Object.hasOwn(rules, startRule)) throw new Error(`the grammar has no rule ${startRule}`);
  const r = new Reader(input);
  try {
    return r.is(rules[startRule]!) && r.at === input.length ? r.data : -1;
  } catch (err) {
    if (err instanceof URIError) return -1; // an escape that is no UTF-8
    throw err;
  }
}
