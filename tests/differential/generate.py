"""Connections with HTTP/1.1 requests on them, by a grammar whose productions are right mostly and wrong in known ways
now and then, and by mutations of bytes. The same seed gives the same bytes."""
import random

METHODS = [b"GET", b"GET", b"GET", b"HEAD", b"PUT", b"PUT", b"POST", b"POST", b"PATCH", b"DELETE", b"OPTIONS"]
ODD_METHODS = [b"get", b"Get", b"FOO", b"CONNECT", b"PRI", b"M-SEARCH", b"SOURCE", b"QUERY", b"DESCRIBE", b"TRACE",
               b"A" * 40, b"!#$%&'*+-.^_`|~", b"G ET", b"GET\t", b"", b"GE\x00T", b"G\xc3\xa9T", b"GET:", b"(GET)"]
TARGETS = [b"/", b"/v1/status", b"/v1/subjects/S-1/files/a.vcf", b"/v1/files?subject=S-1&purpose=treatment",
           b"/v1/files/0123456789abcdef?a=b;c", b"/%C3%A6?q=%2F%5C", b"/a:@!$&'()*+,;=-._~?/?:@", b"/a?", b"/a?b?c"]
ODD_TARGETS = [b"*", b"http://a/b", b"http://a", b"https://u@a:1/b?c", b"a:80", b"a", b"//", b"//a/b", b"/a//b", b"/a/",
               b"/..", b"/../a", b"/a/./b", b"/%2e%2E/a", b"/a%2fb", b"/a%5cb", b"/%00", b"/%", b"/%4", b"/%zz",
               b"/?%00",
               b"/a b", b"/a\tb", b"/a#b", b"/a?b#c", b"/a\\b", b"/{a}", b"/a|b", b"/^", b'/"', b"/<a>", b"/`",
               b"/\x80", b"/\xc3\xa6", b"/a\x00b", b"/\x7f", b"", b"?a=b", b"/" + b"a" * 9000, b"/a?[b]"]
ODD_VERSIONS = [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.1", b"http/1.1", b"HTTP/1.10",
                b"HTTP/01.1",
                b"HTTP/1.1 ", b" HTTP/1.1", b"HTTP/1,1", b"HTTP/11", b"HTTP/1.", b"HTTP /1.1", b"ICE/1.0", b"RTSP/1.0",
                b"", b"HTTP/1.1\t", b"HTTP/1.1a", b"HTTP/+1.1"]
HOSTS = [b"a", b"vault.example", b"vault.example:8443", b"[::1]:80", b"127.0.0.1"]
ODD_HOSTS = [b"", b"a, b", b"u@a", b"a/b", b"a b", b"a\tb", b"a?b", b"a#b", b"a%20b", b"a\xc3\xa6", b"a\x00", b'"a"']
FIELDS = [b"Accept: */*", b"User-Agent: a/1 (b; c)", b"Purpose: treatment", b"purpose:research;project=\"P1\"",
          b"Range: bytes=0-1", b"X-Empty:", b"X-Spaces:   a  b   ", b"x-punctuation: !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~",
          b"Connection: keep-alive", b"Connection: close", b"Connection: Close", b"Connection: a, close ,b",
          b"Connection: keep-alive, close", b"Connection: closed", b"Connection: upgrade", b"Upgrade: websocket",
          b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"Connection:", b"Connection: ,,close,,",
          b"Connection: close;a", b"Proxy-Connection: close", b"Keep-Alive: timeout=5", b"Expect: 100-continue",
          b"expect: 100-Continue", b"TE: trailers", b"Trailer: X", b"Accept: a", b"!#$%&'*+-.^_`|~09: odd name",
          b"Content-Type: application/json", b"Content-Encoding: gzip", b"Cookie: a=b; c", b"Set-Cookie: a"]
ODD_FIELDS = [b"Name : a", b"Name\t: a", b" Name: a", b"\tName: a", b": a", b"Name", b"Na me: a", b"Name: a\r\n b",
              b"Name: a\r\n\tb", b"Name: a\x00b", b"Name: a\x01", b"Name: a\x7f", b"Name: \xc3\xa6", b"Name: a\tb",
              b"Name:\ta\t", b"Name: a\rb", b"Name: a\nb", b"Na\x00me: a", b"N\xc3\xa6me: a", b"Na(me: a", b"Name: a\r",
              b"\"Name\": a", b"Name: " + b"a" * 17000, b"Expect: 200-ok", b"Expect: 100-continue, a",
              b"Content_Length: 9",
              b"Content-Length\x00: 3", b"Transfer-Encoding\x0b: chunked", b"X:a\r\n\r\n\r\n", b"X: y\r\n\r",
              b"\r\nX: y", b"Name: a\x0bb", b"Name: a\x0c", b"Name: \x1b[0m", b"X\r: y"]
LENGTHS = [b"%d, %d", b"+%d", b"-%d", b"0x%d", b"0%d", b"%d ", b"%d\t", b"%d a", b"%d.0", b"%de0", b"", b"%d,",
           b"\x0b%d", b"_%d",
           b"18446744073709551616", b"9223372036854775808", b"%d;", b"99999999999999999999999", b"%d %d",
           b"\"%d\"", b"00"]
CODINGS = [b"Chunked", b"CHUNKED", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"gzip", b"identity",
           b"identity, chunked", b"\tchunked", b"chunked\t", b"xchunked", b"chunkedx", b"chunked;a=b",
           b"\"chunked\"", b"",
           b"chunked,", b",chunked", b"chun\x00ked", b"\x0bchunked", b"chunked \x0c", b"cow", b"chunked\r\n "]
LINE_ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b" \r\n", b"\r\n ", b"\x00\r\n", b"\x0b\r\n", b"\x85\r\n"]
CONNECTION_MAX = 32768  # what http_verdict takes
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
BODIES = [b"", b"a", b"hello", b"0\r\n\r\n", SMUGGLED, b"\r\n", b"\x00\xff" * 10, b"5\r\nhello\r\n0\r\n\r\n",
          b"x" * 300]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.oddness = 0.0

    def odd(self):
        return self.random.random() < self.oddness

    def pick(self, good, odd):
        return self.random.choice(odd if self.odd() else good)

    def end(self):
        return self.pick([b"\r\n"], LINE_ENDS)

    def chunk_size(self, n):
        text = self.random.choice([b"%x", b"%X"]) % n
        if not self.odd():
            return text
        shape = self.random.choice([b"0%s", b"000000000%s", b"%s;a=b", b"%s;", b"%s ", b" %s", b"%s\t", b"0x%s",
                                    b"+%s", b"-%s",
                                    b"", b"g", b"%sg", b"ffffffffffffffff%s", b"%s;a=\"\r\n\"", b"%s ;a",
                                    b"%s\x00", b"%s\r", b"%s_"])
        return shape.replace(b"%s", text)

    def chunked(self, body):
        out = b""
        while body:
            n = self.random.randint(1, len(body))
            size = n + self.random.choice([-1, 1]) if self.odd() else n
            out += self.chunk_size(size) + self.end() + body[:n] + self.end()
            body = body[n:]
        trailer = self.pick([b""], [b"X: y\r\n", b"Content-Length: 5\r\n", b" x\r\n", b"x\r\n", b"X: y\n",
                             b"Host: b\r\n"])
        return out + self.pick([b"0"], [b"00", b"0;a", b"0 ", b"", b"-0", b"0000000000000000", b"0x0"]) + self.end() + \
            trailer + self.end()

    def length(self, n):
        value = b"%d" % n
        if self.odd():
            shape = self.random.choice(LENGTHS)
            value = shape.replace(b"%d", value)
        return self.random.choice([b"Content-Length: ", b"content-length:"]) + value

    def framing(self, body):
        """Fields and the bytes that follow the head."""
        kind = self.random.choice(["none", "none", "length", "length", "chunked", "chunked"])
        if self.odd():
            kind = self.random.choice(["two lengths", "both", "both reversed", "two codings", "length lies"])
        chunked = b"Transfer-Encoding: " + (self.random.choice(CODINGS) if self.odd() else b"chunked")
        if kind == "none":
            return [], b""
        if kind == "length":
            return [self.length(len(body))], body
        if kind == "length lies":
            return [self.length(max(0, len(body) + self.random.choice([-1, 1, -5, 40])))], body
        if kind == "two lengths":
            other = len(body) + self.random.choice([0, 0, 1, -1])
            return [self.length(len(body)), self.length(max(0, other))], body
        if kind == "chunked":
            return [chunked], self.chunked(body)
        if kind == "two codings":
            return [chunked, b"transfer-encoding: " + self.random.choice([b"chunked", b"identity", b"gzip"])], \
                self.chunked(body)
        fields = [self.length(len(body)), chunked]
        coded = self.chunked(body) if self.random.random() < 0.5 else body
        return (fields if kind == "both" else fields[::-1]), coded

    def request(self):
        self.oddness = self.random.choice([0.0, 0.0, 0.0, 0.02, 0.05, 0.12])
        fields = [self.pick(FIELDS, ODD_FIELDS) for _ in range(self.random.choice([0, 0, 1, 2, 3, 6]))]
        if self.odd():
            fields += [b"X-%d: y" % i for i in range(self.random.choice([30, 40, 63, 64, 70]))]
        framing, body = self.framing(self.random.choice(BODIES))
        hosts = [b"Host: " + self.pick(HOSTS, ODD_HOSTS)]
        if self.odd():
            hosts = self.random.choice([[], hosts * 2, [b"host:b", b"Host: a"]])
        fields += framing + hosts
        self.random.shuffle(fields)
        line = self.pick(METHODS, ODD_METHODS) + self.pick([b" "], [b"  ", b"\t", b"", b" \x0b"]) + \
            self.pick(TARGETS, ODD_TARGETS) + self.pick([b" "], [b"  ", b"\t", b""]) + \
            self.pick([b"HTTP/1.1"], ODD_VERSIONS)
        before = self.pick([b""], [b"\r\n", b"\n", b" ", b"\r\n\r\n", b"\x00", b"\xef\xbb\xbf"])
        return before + line + self.end() + b"".join(f + self.end() for f in fields) + self.end() + body

    def mutate(self, data):
        data = bytearray(data)
        for _ in range(self.random.choice([1, 1, 2, 4])):
            at = self.random.randrange(len(data)) if data else 0
            kind = self.random.randrange(6)
            if kind == 0 and data:
                data[at] ^= 1 << self.random.randrange(8)
            elif kind == 1 and data:
                data[at] = self.random.choice(b"\x00\t\n\r \",:;=/%0159afx\x7f\x80\xff")
            elif kind == 2:
                data[at:at] = self.random.choice([b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"0", b"\x00", SMUGGLED])
            elif kind == 3 and data:
                del data[at:at + self.random.choice([1, 1, 2, 8])]
            elif kind == 4 and data:
                piece = data[at:at + self.random.randint(1, 40)]
                to = self.random.randrange(len(data))
                data[to:to] = piece
            elif kind == 5:
                data = data[:at]
        return bytes(data)

    def connection(self):
        data = b"".join(self.request() for _ in range(self.random.choice([1, 1, 2, 3])))
        return (self.mutate(data) if self.random.random() < 0.25 else data)[:CONNECTION_MAX]


def connections(seed, count):
    """`count` inputs; each can be made again from its own seed, "SEED-INDEX"."""
    for i in range(count):
        yield Generator(f"{seed}-{i}").connection()
