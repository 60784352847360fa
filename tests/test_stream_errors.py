import inspect

from stream import errors
from stream.errors import EdvrError


def _all_errors() -> list[type[EdvrError]]:
    members = [member for _, member in inspect.getmembers(errors, inspect.isclass)]
    return [each for each in members if issubclass(each, EdvrError)]


def test_every_error_is_in_the_tree_that_the_module_draws_and_says_when_it_is_raised() -> None:
    drawn = errors.__doc__ or ""
    for each in _all_errors():
        assert each.__name__ in drawn
        assert each.__doc__


def test_the_drawn_tree_is_the_real_one() -> None:
    depth_of = {}
    for line in (errors.__doc__ or "").splitlines():
        words = [word for word in line.replace("│", " ").split() if word not in ("├──", "└──")]
        if words and words[0] in {each.__name__ for each in _all_errors()}:
            depth_of[words[0]] = line.index(words[0])
    parents: list[tuple[int, str]] = []
    for name, depth in depth_of.items():  # in the order of the drawing
        while parents and parents[-1][0] >= depth:
            parents.pop()
        base = getattr(errors, name).__mro__[1].__name__
        assert base == (parents[-1][1] if parents else "Exception")
        parents.append((depth, name))


def test_a_message_reaches_the_user_as_it_was_written() -> None:
    for each in _all_errors():
        assert str(each("what is wrong, and what to do")) == "what is wrong, and what to do"
