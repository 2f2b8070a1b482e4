// What llhttp, the parser of Node, makes of the bytes of a connection, in its strict mode. Inputs on stdin and verdicts
// on stdout as of http_verdict (verdict.c); "end" is "refused" with llhttp's reason in "why", or "wait".
'use strict';
const fs = require('fs');
process.removeAllListeners('warning');
const binding = process.binding('http_parser');
const HTTPParser = binding.HTTPParser;
const methods = binding.allMethods || binding.methods; // by the numbers that llhttp has for them
const MAX_HEAD = 1 << 20;

function pairs(flat) {
  const result = [];
  for (let i = 0; i < flat.length; i += 2) result.push([flat[i], flat[i + 1]]);
  return result;
}

// A parser that collects what it finds in `requests`. Long heads come in several pieces (kOnHeaders).
function newParser(requests) {
  const parser = new HTTPParser();
  let headers = [];
  let url = '';
  parser.initialize(HTTPParser.REQUEST, {}, MAX_HEAD, HTTPParser.kLenientNone);
  parser[HTTPParser.kOnMessageBegin] = () => {};
  parser[HTTPParser.kOnHeaders] = (more, moreUrl) => {
    headers = headers.concat(more);
    url += moreUrl;
  };
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, flat, method, target, status, message, upgrade, keepAlive) => {
    const all = headers.concat(flat || []);
    requests.push({ method: typeof method === 'number' ? methods[method] : method, target: target || url,
      version: `${major}.${minor}`, headers: pairs(all), close: !keepAlive, upgrade, body: '', whole: false });
    headers = [];
    url = '';
    return 0;
  };
  parser[HTTPParser.kOnBody] = (buffer, start, n) => {
    const piece = start === undefined ? buffer : buffer.subarray(start, start + n);
    requests[requests.length - 1].body += piece.toString('hex');
  };
  // Trailer fields come in a last kOnHeaders: they are no part of the head.
  parser[HTTPParser.kOnMessageComplete] = () => {
    if (headers.length > 0) requests[requests.length - 1].trailers = true;
    headers = [];
    url = '';
    requests[requests.length - 1].whole = true;
  };
  return parser;
}

// After a request to upgrade llhttp stops. A server that does not upgrade goes on with a fresh parser.
function judge(bytes) {
  const requests = [];
  let at = 0;
  for (;;) {
    const parser = newParser(requests);
    const done = parser.execute(Buffer.from(bytes.subarray(at)));
    parser.close();
    if (done instanceof Error) return { requests, end: 'refused', status: 400, why: done.code };
    const last = requests[requests.length - 1];
    if (at + done >= bytes.length || !last || !last.upgrade || !last.whole) return { requests, end: 'wait', status: 0 };
    at += done;
  }
}

if (process.argv[2] === '--version') {
  console.log(JSON.stringify({ node: process.versions.node, llhttp: process.versions.llhttp, methods }));
} else {
  const input = fs.readFileSync(0);
  const lines = [];
  for (let at = 0; at < input.length;) {
    const n = input.readUInt32BE(at);
    lines.push(JSON.stringify(judge(input.subarray(at + 4, at + 4 + n))));
    at += 4 + n;
  }
  lines.push('');
  fs.writeFileSync(1, lines.join('\n'));
}
