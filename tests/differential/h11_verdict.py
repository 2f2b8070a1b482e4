"""What h11 makes of the bytes of a connection, in the form of http_verdict (verdict.c)."""
import h11

NOTHING_FOUND = h11.Response(status_code=404, headers=[("Content-Length", "0")])
MAX_HEAD = 1 << 20


def request_of(event):
    return {"method": event.method.decode(), "target": event.target.decode(),
            "version": event.http_version.decode(), "headers": [[n.decode(), v.decode("latin-1")]
                                                                for n, v in event.headers.raw_items()],
            "close": False, "body": "", "whole": False}


def answer(connection, last):
    """Ends the exchange. False if the connection cannot go on."""
    last["whole"] = True
    connection.send(NOTHING_FOUND)  # only with this is it settled that no other protocol follows an Upgrade
    connection.send(h11.EndOfMessage())
    last["close"] = connection.their_state is h11.MUST_CLOSE
    if last["close"] or connection.our_state is not h11.DONE:
        return False
    connection.start_next_cycle()
    return True


def judge(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    if data:  # to h11 nothing would be the end of the connection
        connection.receive_data(data)
    requests = []
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as e:
            return {"requests": requests, "end": "refused", "status": e.error_status_hint, "why": str(e)}
        if event is h11.NEED_DATA:
            return {"requests": requests, "end": "wait", "status": 0}
        if isinstance(event, h11.Request):
            requests.append(request_of(event))
        elif isinstance(event, h11.Data):
            requests[-1]["body"] += bytes(event.data).hex()
        elif isinstance(event, h11.EndOfMessage):
            requests[-1]["trailers"] = len(event.headers) > 0
            if not answer(connection, requests[-1]):
                return {"requests": requests, "end": "closed", "status": 0}
        else:
            raise AssertionError(f"h11 gave {event!r} after {requests}")
