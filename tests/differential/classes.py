"""Every way in which llhttp or h11 may take differently what our parser accepts, each with the reason why ours is
right. A difference that is in none of these, or in two, is a failure."""
import collections

# Methods of RFC 9110 and RFC 5789; parsers may differ about all others.
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"}

Class = collections.namedtuple("Class", "name other holds example reason")


def has(request, name, word):
    """A field of this name lists the word."""
    return any(n.lower() == name and word in [w.strip(" \t").lower() for w in v.split(",")]
               for n, v in request["headers"])


def unknown_method(d):
    """HPE_INVALID_CONSTANT: a method of RTSP with another protocol name; HPE_INVALID_VERSION: PRI without HTTP/2.0."""
    return d.kind == "refused" and d.theirs is None and d.ours["method"] not in METHODS and \
        d.why in ("HPE_INVALID_METHOD", "HPE_INVALID_CONSTANT", "HPE_INVALID_VERSION")


def proxy_connection(d):
    return d.kind == "close" and d.theirs["close"] and has(d.ours, "proxy-connection", "close") and \
        not has(d.ours, "connection", "close")


def lower_coding(d):
    shown = [[n, v.lower() if n.lower() == "transfer-encoding" else v] for n, v in d.ours["headers"]]
    return d.kind == "headers" and d.theirs["headers"] == shown


CLASSES = [
    Class("unknown method", "llhttp", unknown_method, b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
          "RFC 9110, 9.1: a method is any token. Ours reads on and answers 405; llhttp has a list, and refuses."),
    Class("Proxy-Connection", "llhttp", proxy_connection,
          b"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
          "RFC 9112, C.2.2: the field was never standard, and is to be ignored. llhttp takes it for Connection and "
          "ends the connection; ours goes on. All agree where the request ends."),
    Class("coding in lower case", "h11", lower_coding,
          b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
          "RFC 9112, 7: names of codings are compared without regard to case. h11 shows the value in lower case; ours "
          "as it came. All take the body as chunked."),
]
