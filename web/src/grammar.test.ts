import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as theirs from 'jssip/lib/Grammar.js';
import { parse } from './grammar.ts';

/** Values that are taken, by rule. */
const good: Record<string, string[]> = {
  Allow_Events: ['presence', 'presence.winfo, dialog ,\tmessage-summary', 'refer'],
  Call_ID: ['a84b4c76e66710', 'a84b4c76e66710@pc33.example.org', 'w{}()<>:\\"/[]?@x', "-.!%*_+`'~", 'intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{'],
  Contact: [
    'sip:bob@192.0.2.4',
    '<sip:bob@192.0.2.4>;expires=3600;q=0.7',
    '"Mr. Watson" <sip:watson@worcester.example.org>\r\n ;q=0.7; expires=3600, "W" <sips:watson@bell-telephone.example.com> ;q=0.1',
    '<sip:a@[2001:db8::10]:5070;transport=ws;ob>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=1',
    'sip:a@example.org;q=1.0, <sip:b@example.org?Subject=x&priority=urgent>;q=0, <sip:c@example.org>;x',
    'Bell  Alexander <sip:bell@example.org;lr>;expires=abc;host=[::1];q=0.1',
    '<sip:qzt8vlpe@kp23gchf7hpb.invalid;transport=ws>;+sip.ice;reg-id=1;expires=600',
    'm1 <sip:a:b@example.org>,sip:c,<sips:d>;a="b, c;d"',
  ],
  Content_Disposition: ['session', 'render;handling=optional', 'early-session ; handling = required;x=y', 'Icon;handling="x"'],
  Content_Encoding: ['gzip', 'gzip , tar,\r\n x-own'],
  Content_Length: ['0', '349', '000123', '99999999999999999999999'],
  Content_Type: ['application/sdp', 'text/html; charset=ISO-8859-4', 'multipart / mixed ;boundary="a \\" b"', 'message/sipfrag;version=2.0', 'X-a/b'],
  CSeq: ['4711 INVITE', '0009\r\n  NOTIFY', '1 newMethod', '4294967296 ACK', '1   ! '.trim()],
  Event: ['presence', 'Dialog;id=1', 'refer; id = 93809824', 'message-summary', 'a.b.c;d="e"'],
  Expires: ['3600', '0', '007'],
  From: [
    '"A. G. Bell" <sip:agb@bell-telephone.example.com> ;tag=a48s',
    'sip:+12125551212@server.example.com;tag=887s',
    'Anonymous <sip:c8oqz84zk7z@privacy.example.org>;tag=hyh8',
    'Caller <sip:caller@[2001:db8::9:1]>;tag = 1928301774;x="y z"',
    '"J Rosenberg \\\\\\"" <sip:jdrosen@example.com>\r\n ;\r\n tag = 98asjd8',
    '"\u00e9ric \u{1f600} \\\u0001" <sip:%C3%A9ric@example.org:5070>;Tag=a;tag=b',
    '<sip:a@b;ttl=15;x=y>;z',
    'sip:example.org',
    '"" <sips:user;par=u%40example.net@example.com>',
    'token1~` token2\'+_ token3*%!.- <sip:mundane@example.com>;fromParam\'\'~+*_!.-%="\u0440\u0430\u0431";tag=_token~1\'+`*%!-.',
    '"Quoted string \\"\\"" <sip:jdrosen@example.com>;newparam = newvalue ;\r\n  secondparam ; q = 0.33 ; tag = 9813',
    '<sip:x;maddr=192.0.2.1>;tag="quoted"',
  ],
  Max_Forwards: ['70', '0', '0068'],
  Min_Expires: ['60', '00060'],
  Name_Addr_Header: [
    '<sip:a@b>',
    '"Bob" <sip:bob@example.org;transport=TCP>;a=b;c',
    'Bob Smith\t<sip:bob@example.org>',
    '"a" "b"<sip:c@d>',
    ' "x\\\\y\\"" <sips:c@d.e:5061;method=INVITE?a=b>; f = "g" ; h=[::1]',
    'a "b"c <sip:d>', '"a""b"c d<sip:e>',
  ],
  Proxy_Authenticate: [
    'Digest realm="example.org",nonce="f84f1cec41e6cbe5aea9c8e88d359"',
    'Digest realm="a \\"b\\"", domain="sip:a.example.org http://b/c?d=e",\r\n qop="auth,auth-int", nonce="x", opaque="", stale=FALSE, algorithm=MD5',
    'digest  algorithm = SHA-256 , nonce= "n" ,realm="r",stale=true, charset=UTF-8, qop="auth, auth-int",userhash="x"',
    'Basic realm="x"',
    'DigestOther a=b , c="d"',
    'Digest realm=r,nonce=n,qop=auth,stale=maybe,algorithm="MD5",domain=d,opaque=o',
    'Digest realm="\u00fc",nonce="n",qop="token",qop="AUTH-INT"',
    'Digest domain="/a;b/c sips:d@e:1;f ",nonce="n"',
  ],
  Proxy_Require: ['foo', 'sec-agree, 100rel'],
  Reason: ['SIP;cause=200;text="Call completed elsewhere"', 'Q.850 ;cause=16;text="Terminated \\" x"', 'q.850', 'SIP;text=token;x=y', 'SIP ;\r\n cause = 580'],
  Record_Route: [
    '<sip:p1.example.org;lr>',
    '<sip:server10.example.com;lr>,  <sip:bigbox3.site3.example.org;lr=on>;a=b ,"x" <sip:[::1]:5060;transport=tcp>',
    '<sip:a;ttl=3>,<sip:b?x=y>,<sip:c>',
  ],
  Refer_To: [
    '<sip:carol@cleveland.example.org>',
    '<sip:bob@example.net?Replaces=090459243588173445%40example.org%3Bto-tag%3D7553452%3Bfrom-tag%3D31431>',
    'sip:a@b;method=INVITE',
    '"A B" <sips:x:5061;method=SUBSCRIBE?accept-contact=*%3baudio&x=>;early',
  ],
  Replaces: [
    '425928@bobster.example.org;to-tag=7743;from-tag=6472',
    'a;from-tag=1;to-tag=2;early-only',
    '12adf2f34456gs5;to-tag = 12345 ; from-tag= 54321;TO-TAG=x;other="y"',
  ],
  Request_Response: [
    'SIP/2.0 200 OK',
    'SIP/2.0 100 ',
    'sip/12.345 487 Request Terminated: %20 (a, b) caf\u00e9',
    'SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e',
    'INVITE sip:bob@example.org SIP/2.0',
    'INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0',
    'REGISTER sip:192.0.2.1:5060 SIP/2.0',
    "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
    'OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0',
    'RE%47IST%45R sip:registrar.example.com SIP/2.0',
    'MESSAGE tel:+1-201-555-0123;phone-context=x SIP/2.0',
    'OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0',
    'OPTIONS http://user@@example.com:80/a;b/c?d=e SIP/2.0',
    'INVITE sip:null-%00-null@example.com;maddr=192.0.2.7;method=BYE;ttl=16?x=y SIP/2.0',
    'ACK sip:a:pass,word@[::ffff:192.0.2.1]:5060;Transport=UDP;user=Phone;lr SIP/3.1',
    'BYE sip:!!! SIP/2.0',
    'INFO sip:x@!! SIP/2.0',
  ],
  Require: ['100rel', 'timer ,replaces'],
  Route: ['<sip:p1.example.org;lr>', '<sip:a;lr;x=y>;z=1, "n" <sips:b:c@d>;w'],
  SIP_URI: [
    'sip:example.org',
    'sips:alice:secret@example.org:5061;transport=TLS?subject=project%20x&priority=urgent',
    'SIP:+1-212-555-1212:1234@gateway.example.com;user=phone',
    'sip:alice;day=tuesday@example.org',
    'sip:a&=+$,;?/b@x-.y_z.example',
    'sip:sip%3Auser%40example.com@company.com;other-param=summit',
    'sip:u@192.0.2.255:0;maddr=239.255.255.1;ttl=15;lr=on;method=REGISTER;a=b;c;%41%6c=%20[]/:&+$',
    'sip:u@[2001:DB8::1]:',
    'sip:[::1.2.3.4];transport=ws;user=dialstring;x=a;X=b',
    'sip:a@b?x=1&x=2&Call-ID=c&y=&%5a=[]/?:+$',
    'sip:%E2%82%AC@example.org',
    'sip::@b'.replace('::', ':a:'),
  ],
  Session_Expires: ['1800', '4000;refresher=UAC', '90 ; refresher = uas;x="y"', '90;refresher=other'],
  Status_Line: ['SIP/2.0 200 OK', 'SIP/2.0 180 Ringing'],
  Subject: ['', 'I know you\'re there, pick up the phone and talk to me!', 'a\r\n  b\t c', '\u00e4 \u{1f600} x'],
  Subscription_State: [
    'active;expires=60',
    'terminated;reason=noresource',
    'Pending ; reason=Probation;retry_after=5;retry-after=7;expires=x',
    'terminated;reason=own-reason;x',
    'own',
  ],
  Supported: ['', '100rel', 'path, outbound ,gruu'],
  To: [
    '<sip:bob@example.org>;tag=1',
    'sip:j.user@example.com',
    'sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n',
    '"BEL:\\\u0007 NUL:\\\u0000 DEL:\\\u007f" <sip:user@[::1]:70000>;tag',
    'The Operator <sip:operator@cs.columbia.example;user=ip>;TAG=x;y',
  ],
  Via: [
    'SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK1',
    'SIP/2.0/UDP 192.0.2.1:5060;received=192.0.2.207;branch=z9hG4bK77ef4c2312983.1;rport=5061',
    'SIP / 2.0\r\n / UDP first.example.com: 4000;ttl=16\r\n ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1',
    'SIP/2.0/TCP [2001:db8::9:1];received=2001:db8::9:255;rport;alias;keep=30',
    'SIP/2.0/TLS Example.ORG : 99999 ; RPORT = ;Branch=a, sip/2.0/sctp b;x=[::1];maddr=C.example',
    'SIP  / 2.0  / UDP  192.0.2.2;branch=390skdjuw,SIP/2.0/TCP spindle.example.com;branch =   z9hG4bK9ikj8  ,\r\n SIP/2.0/UDP 192.168.255.111   ; branch=\r\n z9hG4bK30239',
    'other/1/own host;received=host;ttl=x;branch="q";rport=12345',
    'SIP/2.0/UDP 1.2.3.4:;received=::ffff:1.2.3.4',
  ],
  WWW_Authenticate: [],
  absoluteURI: [
    'ws://127.0.0.1:8888/sip',
    'wss://[2001:db8::1]:8433/sip;x=y?z',
    'WSS://example.org',
    'ws:///sip',
    'ws://',
    'http:/path?query',
    'mailto:a@b.c',
    'urn:uuid:x',
    'ws://user@@host:1/p',
    'ws://host/a@b',
    'ws://host?%41/?',
    'ws://host:80/a:b@c;d//',
  ],
  host: [
    'example.org', 'a', 'a-b_c.d-', '1a.b', '192.0.2.1', '255.255.255.255', '0.0.0.0', 'Example.ORG', '1.2.3.4.a', '[::1]', '[::ffff:192.0.2.1]',
    '[1:2:3:4:5:6:7:8]', '[1::]', '[1:2:3:4:5:6:7::]', '[1::8]', '[1:2::7:8]', '[1:2:3::6:7:8]', '[1:2:3:4::1.2.3.4]', '[1::3:4:5:6:7:8]',
    '[::3:4:5:6:7:8]', '[::2:3:4:5:6:7:8]', '[FE80::1:2:192.0.2.1]', '[1:2:3:4:5:6:1.2.3.4]', '[1:2:3:4:5:6::8]', '[::1:2:3:1.2.3.4]',
  ],
  quoted_string: ['""', '"a b"', ' \r\n "\\"\\\\"', '"\u00e9\u{1f600}"', '"a\r\n b"', '"\\\u0000\\\t\t!#[]^~"'],
  uuid: ['f81d4fae-7dec-11d0-a765-00a0c91e6bf6', 'F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6'],
};
good.WWW_Authenticate = good.Proxy_Authenticate!;

const noToken = ['', 'a b', 'a,', ',a', 'a,,b', 'a;b', '"a"'];
const noNumber = ['', 'a', '1a', '-1', '1 ', ' 1', '1.0', '0x1', '\u0661'];
const noAddress = [
  '',
  'bob',
  'bob@example.org',
  '<sip:bob@example.org',
  'sip:bob@example.org>',
  '<sip:bob@example.org>>',
  '<<sip:bob@example.org>>',
  'Bob, Mr <sip:bob@example.org>',
  '"Bob <sip:bob@example.org>',
  '"Bob" sip:bob@example.org',
  '"Bob" Bob <sip:bob@example.org>x',
  '"Bob\\" <sip:bob@example.org>',
  '<sip:bob@example.org>;=x',
  '<sip:bob@example.org>;a=',
  '<sip:bob@example.org>;',
  '<sip:bob@example.org>;a="b',
  '<sip:bob@example.org> x',
  '<sip: bob@example.org>',
  '< sip:bob@example.org>',
  '<sip:bob@example.org >',
  '<tel:+1>',
  '<sip:@example.org>',
  '<sip:bob@>',
  '<sip:bob@exa mple.org>',
  'caf\u00e9 <sip:bob@example.org>',
  '<sip:bob@example.org;transport=udpx>',
  'sip:bob@example.org?a=b',
  '"a\nb" <sip:bob@example.org>',
  '"a\r\nb" <sip:bob@example.org>',
  '"a"\r\n<sip:bob@example.org>',
  '"a\\\u00e9" <sip:bob@example.org>',
  '"a\u0000" <sip:bob@example.org>',
];

/** Values that are refused, by rule. */
const bad: Record<string, string[]> = {
  Allow_Events: ['', '.', 'a.', 'a b', 'a,'],
  Call_ID: ['', '@', 'a@', '@a', 'a@b@c', 'a b', 'a;b', 'a,b', 'a=b', 'caf\u00e9'],
  Contact: [...noAddress, '<sip:a>,', ',<sip:a>', '<sip:a>,,<sip:b>', '<sip:a>;q=0x', '<sip:a>;q=0.1234', '<sip:a>;expires=1s', 'sip:a,b'],
  Content_Disposition: ['', 'renders', 'a/b', 'session;handling=optionally', 'session;', 'session;handling='],
  Content_Encoding: noToken,
  Content_Length: noNumber,
  Content_Type: ['', 'text', 'text/', '/plain', 'text/plain;', 'text/plain;a', 'text/plain;a=', 'texts/plain', 'a/b/c', 'text/plain;a="b'],
  CSeq: ['', '1', 'INVITE', '1INVITE', '1 INVITEX', '1 ', '-1 ACK', '1 INVITE BYE', '1\r\nACK'],
  Event: ['', '.a', 'a..b', 'a;', 'a b', '"a"'],
  Expires: noNumber,
  From: [...noAddress, '<sip:a>,<sip:b>', '<sip:a>;tag=', '<sip:a>;tag=a b'],
  Max_Forwards: noNumber,
  Min_Expires: noNumber,
  Name_Addr_Header: [...noAddress, 'sip:a@b', '"a" b <sip:c>'],
  Proxy_Authenticate: [
    '', 'Digest', 'Digest ', 'Digest a', 'Digest a=', 'Digest ,a=b', 'Digest a=b,', 'Digest a="b', 'Digest realm="x" nonce="y"',
    'Digest realm="x",nonce="y",algorithm=MD5-sess', 'Digest stale=truely', 'Basic', 'Digest a=b;c=d', '"Digest" a=b',
  ],
  Proxy_Require: noToken,
  Reason: ['', ';cause=1', 'SIPS', 'SIP;cause=1x', 'SIP;', 'SIP;text="a', 'SIP cause=1', 'SIP;cause=1,Q.850;cause=2'],
  Record_Route: [...noAddress, 'sip:a', '<sip:a>,', '<sip:a>, sip:b'],
  Refer_To: noAddress,
  Replaces: ['', ';to-tag=1', 'a;to-tag=', 'a;early-onlyx', 'a@b@c;to-tag=1', 'a;to-tag=1,b', 'a b'],
  Request_Response: [
    '', 'SIP/2.0', 'SIP/2.0 200', 'SIP/2.0 20 OK', 'SIP/2.0 2000 OK', 'SIP/2.0  200 OK', 'SIP/2 200 OK', 'SIP/2.0 200 "OK"', 'SIP/2.0 200 100%',
    'INVITE', 'INVITE sip:a', 'INVITE  sip:a SIP/2.0', 'INVITE sip:a  SIP/2.0', 'INVITE sip:a SIP/2.0 ', 'INVITE <sip:a> SIP/2.0', 'INVITE sip:a SIP/x',
    'INVITEX sip:a SIP/2.0', 'INVITE a SIP/2.0', 'INVITE sip:a HTTP/1.1', 'GET / HTTP/1.1', 'INVITE sip:a; lr SIP/2.0', ' INVITE sip:a SIP/2.0',
    'INVITE sip:a@[::1 SIP/2.0', 'INVITE sip:a@b?c SIP/2.0', 'IN VITE sip:a SIP/2.0', 'INVITE\tsip:a SIP/2.0',
  ],
  Require: noToken,
  Route: [...noAddress, 'sip:a'],
  SIP_URI: [
    '', 'sip:', 'sip', 'sip:@a', 'sip:a@', 'sip:a@b@c', 'sip: a', 'sip:a b@c', 'tel:1', 'http://a', 'sip:a@b:c', 'sip:a@b:123456', 'sip:a@1.2.3',
    'sip:a@1.2.3.256', 'sip:a@[::1', 'sip:a@::1', 'sip:a@[::g]', 'sip:a@[]', 'sip:a@b;', 'sip:a@b;=', 'sip:a@b;c=', 'sip:a@b;lrx', 'sip:a@b?', 'sip:a@b?c',
    'sip:a@b?c=d&', 'sip:a%4@b', 'sip:a@b;%4', 'sip:a@-b', 'sip:a@b..c', 'sip:a@b.', 'sip:a"@b', 'sip:a@b;transport=tcpx', 'sip:a@b;user=phones',
    'sip:a@b;ttl=1234', 'sip:a@b;c="d"', '<sip:a@b>', 'sip:caf\u00e9@b', 'sipx:a', 'sip:%ff@b',
  ],
  Session_Expires: ['', 'a', '1;', '1;refresher=uacs', '1 refresher=uac', '1,2'],
  Status_Line: ['', 'SIP/2.0 200', 'INVITE sip:a SIP/2.0', 'HTTP/1.1 200 OK'],
  Subject: [' ', ' a', 'a ', 'a\u0000', 'a\r\nb', '\u007f'],
  Subscription_State: ['', ';expires=1', 'actively', 'active;expires=1x', 'active;reason=rejectedly', 'active;', 'active expires=1'],
  Supported: noToken.slice(1),
  To: [...noAddress, '<sip:a>,<sip:b>', 'sip:a@b;tag='],
  Via: [
    '', 'SIP/2.0/UDP', 'SIP/2.0 host', 'SIP/2.0/UDPx host', 'SIP/2.0/UDP host;', 'SIP/2.0/UDP host,', 'SIP/2.0/UDPhost', '/2.0/UDP host', 'SIP/2.0/UDP ;branch=a',
    'SIP/2.0/UDP host;branch=', 'SIP/2.0/UDP host:123456', 'SIP/2.0/UDP host;rportx', 'SIP/2.0/UDP host;ttl=1000', 'SIP/2.0/UDP host;received=1.2.3.4x',
    'SIP/2.0/UDP host (comment)', 'SIP/2.0/UDP [::1', 'SIP/2.0/UDP 1.2.3.4.example', 'SIP/2.0/UDP a b', 'SIPX/2.0/UDP a', 'SIP/2.0/TLS-SCTP a',
  ],
  WWW_Authenticate: [],
  absoluteURI: ['', 'ws', ':', '1ws://a', 'ws:', 'ws://a b', 'ws://a@b', 'ws://[::1', 'ws://a:123456', 'ws://a/%4', 'ws://a"', 'ws://caf\u00e9', 'ws://a/[b]', 'ws://a@@/b'],
  host: [
    '', '.', 'a.', 'a..b', '-a', 'a b', 'a:1', '1', '1.2.3', '1.2.3.4.5', '256.1.1.1', '1.2.3.256', '01.2.3.4', '[', '[]', '[::]', '[:::1]', '[1:2:3:4:5:6:7]',
    '[1:2:3:4:5:6:7:8:9]', '[12345::]', '[::g]', '[1::2::3]', '::1', '[::1]x', '[::1.2.3]', 'caf\u00e9', '_a', 'a.1',
  ],
  quoted_string: ['', '"', 'a', '"a', 'a"', '"a""', '"\\"', '"\u0000"', '"\\\n"', '"\\\u00e9"', '"a\r\nb"', '"a" '],
  uuid: ['', 'f81d4fae7dec11d0a76500a0c91e6bf6', 'f81d4fae-7dec-11d0-a765-00a0c91e6bf', 'g81d4fae-7dec-11d0-a765-00a0c91e6bf6', ' f81d4fae-7dec-11d0-a765-00a0c91e6bf6'],
};
bad.WWW_Authenticate = bad.Proxy_Authenticate!;

const rules = Object.keys(good);

/** What changed values are changed with. */
const scraps = [
  ' ', '\t', '\r\n ', '\r\n', '\n', '\u0000', '\u007f', '"', '\\', '\\"', '<', '>', ';', ',', '=', ':', '@', '/', '?', '&', '%', '%41', '%C3%A9', '%ff', '[', ']', '[::1]',
  '(', ')', '.', '*', '-', '_', '+', '$', '!', '~', "'", '`', '#', '{', '|', '0', '1', '255', 'a', 'Z', '\u00e9', '\u{1f600}', '\u212a', '\u017f',
  ';lr', ';tag=x', ';TAG="y"', ';expires=5', ';q=0.5', ';q=1', ';a="b;c,d"', ';maddr=1.2.3.4', ';ttl=7', ';transport=tcp', ';user=ip', ';method=ACK', '?a=b', '&c=d',
  ';received=::1', ';rport', ';rport=1', ';branch=z9hG4bK', ';text="t"', ';cause=1', ';handling=x', ';refresher=uas', ';reason=timeout', ';retry_after=1',
  ';to-tag=1', ';from-tag=2', ';early-only', ', <sip:x@y>', ',a=b', ',stale=true', ',qop="auth"', ',opaque="o"', ',domain="sip:a b:c"', 'sip:', 'sips:', '"a"', 'Digest ',
];

const original = (input: string, rule: string): unknown => theirs.parse(input, rule);

type Outcome = { value: unknown } | { thrown: unknown };

function outcome(of: typeof original, input: string, rule: string): Outcome {
  try {
    return { value: of(input, rule) };
  } catch (thrown) {
    return { thrown };
  }
}

/** What a challenge's "domain" leaves behind in the original: parts of its addresses, in fields that nobody reads. */
const remains = ['scheme', 'user', 'password', 'host', 'host_type', 'port'];

/**
 * Holds the two parsers against each other. Tells whether the value was taken. They differ where the original
 *  - throws: of escapes that are no UTF-8, of "Contact: *" and of URI headers named as a member of every object. Ours gives -1
 *    or, where the value is well-formed, what it means;
 *  - puts a comma before each part of an event's name, so that "presence.winfo" is "presence.,winfo";
 *  - notes parts of the addresses in a challenge's "domain" as the challenge's own.
 */
function compare(rule: string, input: string): boolean {
  const want = outcome(original, input, rule);
  const got = outcome(parse, input, rule);
  const about = `${rule} ${JSON.stringify(input)}`;
  if ('thrown' in got) assert.fail(`${about}: ours throws ${got.thrown}`);
  if ('thrown' in want) {
    const why = [/%[\da-f]{2}/i, /^\s*\*/, /constructor|__proto__|valueof|tostring|hasownproperty/i];
    assert.ok(why.some((w) => w.test(input)), `${about}: the original throws ${want.thrown}`);
    return false;
  }
  if (typeof want.value === 'object' && want.value !== null) {
    const fields = want.value as Record<string, unknown>;
    if (rule === 'Event') fields.event = String(fields.event).replaceAll(',', '');
    if (rule.endsWith('_Authenticate') && /domain/i.test(input)) for (const name of remains) delete fields[name];
  }
  assert.deepStrictEqual(got.value, want.value, about);
  return want.value !== -1;
}

test('what is well-formed is read as JsSIP reads it', () => {
  for (const rule of rules) {
    const samples = good[rule]!;
    for (const input of samples) assert.ok(compare(rule, input), `${rule} ${JSON.stringify(input)} was refused`);
  }
});

test('what is not well-formed is refused', () => {
  for (const rule of rules) {
    for (const input of bad[rule]!) {
      assert.equal(compare(rule, input), false, `${rule} ${JSON.stringify(input)} was taken`);
      assert.equal(parse(input, rule), -1, `${rule} ${JSON.stringify(input)}`);
    }
  }
});

/** A repeatable source of numbers below n (mulberry32). */
function source(seed: number): (n: number) => number {
  return (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

/** One to three changes to a value. */
function mutated(value: string, below: (n: number) => number, pool: readonly string[]): string {
  for (let n = 1 + below(3); n > 0; n--) {
    const at = below(value.length + 1);
    const end = Math.min(value.length, at + 1 + below(4));
    const scrap = scraps[below(scraps.length)]!;
    switch (below(7)) {
      case 0: // something is lost
        value = value.slice(0, at) + value.slice(end);
        break;
      case 1: // something is added
        value = value.slice(0, at) + scrap + value.slice(at);
        break;
      case 2: // something is another thing
        value = value.slice(0, at) + scrap + value.slice(end);
        break;
      case 3: // something is there twice
        value = value.slice(0, end) + value.slice(at);
        break;
      case 4: // it ends with something
        value += scrap;
        break;
      case 5: // in other letters
        value = value.slice(0, at) + (below(2) ? value.slice(at).toUpperCase() : value.slice(at).toLowerCase());
        break;
      default: {
        // the start of one, the end of another
        const other = pool[below(pool.length)]!;
        value = value.slice(0, at) + other.slice(below(other.length + 1));
      }
    }
  }
  return value;
}

test('changed values', () => {
  const everything = rules.flatMap((rule) => good[rule]!);
  for (const [i, rule] of rules.entries()) {
    const below = source(1 + i);
    const own = [...good[rule]!, ...bad[rule]!].filter((s) => s.length < 400);
    let taken = 0;
    let refused = 0;
    for (let n = 0; n < 1500; n++) {
      const pool = below(4) === 0 ? everything : own;
      if (compare(rule, mutated(own[below(own.length)]!, below, pool))) taken++;
      else refused++;
    }
    assert.ok(taken > 20 && refused > 50, `${rule}: ${taken} taken, ${refused} refused`);
  }
});

test('values of one rule read by another', () => {
  for (const rule of rules) for (const other of rules) for (const input of good[other]!) compare(rule, input);
});

test('where ours differs', () => {
  assert.throws(() => original('sip:%ff@example.org', 'SIP_URI'), URIError);
  assert.equal(parse('sip:%ff@example.org', 'SIP_URI'), -1);
  assert.throws(() => original('*', 'Contact'), TypeError);
  assert.equal(parse('*', 'Contact'), -1);
  const starred = parse('*97 <sip:*97@example.org>', 'Contact');
  assert.equal(starred[0].parsed.toString(), '"*97" <sip:*97@example.org>');
  assert.throws(() => original('sip:example.org?constructor=x', 'SIP_URI'), TypeError);
  assert.deepEqual(parse('sip:example.org?constructor=x', 'SIP_URI').getHeader('constructor'), ['x']);
  assert.equal((original('presence.winfo', 'Event') as { event: string }).event, 'presence.,winfo');
  assert.equal(parse('presence.winfo', 'Event').event, 'presence.winfo');
  const challenge = 'Digest realm="a", nonce="b", domain="sip:example.org"';
  assert.deepEqual(original(challenge, 'WWW_Authenticate'), { realm: 'a', nonce: 'b', scheme: 'sip' });
  assert.deepEqual(parse(challenge, 'WWW_Authenticate'), { realm: 'a', nonce: 'b' });
  for (const unknown of ['X_Own', 'constructor', '']) assert.throws(() => parse('x', unknown), /no rule/);
  assert.throws(() => original('x', 'X_Own'), /Invalid rule name/);
});

test('long values take no more than their length in time', () => {
  const started = performance.now();
  const many = 50_000;
  for (const part of [' ', '\t', '\r\n ', 'a.', 'a-', '"', '\\', '%41', 'a ', 'a;', ',', '1:', ':', '(', '\u00e9', '<']) {
    const long = part.repeat(many);
    for (const rule of rules) {
      parse(long, rule);
      parse(`"a${long}`, rule);
      parse(`sip:${long}!`, rule);
      parse(`a ${long}\r\n`, rule);
      parse(`SIP/2.0/UDP ${long};`, rule);
    }
  }
  const took = performance.now() - started;
  assert.ok(took < 30_000, `${Math.round(took)} ms`);
});
