// Servers of others that recordings are sent to, and files come from, with TLS: a web server, which behaves as the first part of the path
// says, and a store that speaks S3, s3rver's. That doesn't look at signatures of version 4: what is in front of it does, by aws4. What they
// take stands in FOLDER.
import { createReadStream, createWriteStream, mkdirSync, readFileSync, statSync } from 'node:fs';
import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import aws4 from 'aws4';
import S3rver from 's3rver';

const { HOST, INSIDE, CERT, KEY, FOLDER, FILE } = process.env;
const tls = { cert: readFileSync(CERT), key: readFileSync(KEY) };
const size = statSync(FILE).size;

const take = (request, response) => {
  const name = request.url.split('/').pop();
  const file = createWriteStream(join(FOLDER, name));
  request.pipe(file).on('finish', () => {
    console.log(`${request.method} ${request.url} ${request.headers['content-type']} ${request.headers.authorization ?? ''}`);
    response.writeHead(201).end();
  });
};

const refuse = (status) => (request, response) => {
  request.resume();
  response.writeHead(status).end();
};

const moved = (status, to) => (request, response) => {
  request.resume();
  response.writeHead(status, { location: to }).end();
};

// half sends what a file begins with, and says that there is more.
const half = (then) => (request, response) => {
  response.writeHead(200, { 'content-type': 'audio/wav', 'content-length': size });
  createReadStream(FILE, { end: Math.floor(size / 2) }).on('end', () => setTimeout(() => then(response), 50)).pipe(response, { end: false });
};

const nothing = () => {};

const ways = {
  GET: {
    whole: (request, response) => { response.writeHead(200, { 'content-length': size }); createReadStream(FILE).pipe(response); },
    silent: nothing,
    stalls: half(nothing),
    breaks: half((response) => response.destroy()),
    moved: moved(302, '/whole/a.wav'),
    inside: moved(302, INSIDE),
    login: refuse(200),
  },
  PUT: {
    put: take,
    post: refuse(405),
    silent: (request) => request.resume(),
    stalls: nothing, // takes nothing of the body
    breaks: (request) => request.once('data', () => request.destroy()),
    moved: (request, response) => moved(307, request.url.replace('/moved/', '/put/'))(request, response),
    inside: moved(307, INSIDE),
    away: moved(302, '/login/'),
  },
  POST: { post: take },
};

const web = https.createServer(tls, (request, response) => {
  const way = ways[request.method]?.[request.url.split('/')[1]] ?? refuse(404);
  way(request, response);
});
web.requestTimeout = 0;

mkdirSync(join(FOLDER, 'store'));
const inner = new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory: join(FOLDER, 'store'), vhostBuckets: false, configureBuckets: [{ name: 'records' }] });
const { port } = await inner.run();

// signed tells whether a request has the signature that its owner's secret makes, of all that it says to have signed and of its body.
const signed = ({ method, url, headers }, body) => {
  const [, names, signature] = /SignedHeaders=([^,]+),\s*Signature=([0-9a-f]+)$/.exec(headers.authorization ?? '') ?? [];
  if (!names || headers['x-amz-content-sha256'] !== createHash('sha256').update(body).digest('hex')) return false;
  const said = Object.fromEntries(names.split(';').map((name) => [name, headers[name]]));
  const due = aws4.sign({ service: 's3', region: 'us-east-1', method, path: url, headers: said, body, extraHeadersToIgnore: { 'content-length': true, 'content-type': !said['content-type'] } },
    { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' });
  return due.headers.Authorization.endsWith(`Signature=${signature}`);
};

const store = https.createServer(tls, async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  if (!signed(request, body)) {
    response.writeHead(403, { 'content-type': 'application/xml' }).end('<Error><Code>SignatureDoesNotMatch</Code><Message>…</Message></Error>');
    return;
  }
  console.log(`S3 ${request.method} ${request.url.replace(/uploadId=[^&]*/, 'uploadId=…')}`);
  const { method, url: path, headers } = request;
  const further = http.request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  further.end(body);
});
store.listen(0, HOST, () => web.listen(0, HOST, () => {
  console.log(`ready https://${HOST}:${web.address().port} https://${HOST}:${store.address().port}\n`);
}));
