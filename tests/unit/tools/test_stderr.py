from interlock.tools.stderr import MAX_BYTES, MAX_LINES, StderrTail


def test_the_last_lines_are_kept_in_order() -> None:
    tail = StderrTail()
    for number in range(MAX_LINES + 50):
        tail.feed(f"line {number}\n".encode())
    assert len(tail.lines()) == MAX_LINES
    assert tail.lines()[-1] == f"line {MAX_LINES + 49}"


def test_pieces_make_lines_and_the_unfinished_one_is_shown() -> None:
    tail = StderrTail()
    for piece in (b"ab", b"c\n\n", b"\xff d"):
        tail.feed(piece)
    assert tail.lines() == ("abc", "\N{REPLACEMENT CHARACTER} d")


def test_bytes_are_bounded_with_and_without_line_ends() -> None:
    tail = StderrTail()
    for _ in range(100):
        tail.feed(b"x" * 4000 + b"\n")
    assert sum(map(len, tail.lines())) <= MAX_BYTES
    for _ in range(100):
        tail.feed(b"y" * 4000)
    assert sum(map(len, tail.lines())) <= 2 * MAX_BYTES + 4096


def test_secrets_are_hidden_even_when_they_come_in_pieces() -> None:
    tail = StderrTail(("hunter2-hunter2",))
    tail.feed(b"password is hunter2-")
    tail.feed(b"hunter2 ok\n")
    tail.feed(b"again hunter2-hunter2")
    assert tail.lines() == ("password is *** ok", "again ***")
