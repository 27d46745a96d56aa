"""The headers of a dialect's request are those that Flask reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import EnvironHeaders

from adapter.http import Headers
from adapter.web.dialect_views import RequestHeaders

KEYS: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(
        [
            *("HTTP_HOST", "HTTP_X_API_KEY", "HTTP_APIKEY", "HTTP_AUTHORIZATION", "CONTENT_TYPE"),
            *(
                "CONTENT_LENGTH",
                "HTTP_CONTENT_TYPE",
                "HTTP_CONTENT_LENGTH",
                "REQUEST_METHOD",
                "HTTP_",
            ),
        ]
    ),
    st.from_regex(r"HTTP_[A-Z_]{1,4}", fullmatch=True),
)
NAMES: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(
        [
            *(
                "Host",
                "X-Api-Key",
                "x-api-key",
                "X_Api_Key",
                "X_Api-Key",
                "apikey",
                "AUTHORIZATION",
            ),
            *("Content-Type", "content-length", "Content_Type", "Request-Method", "", "-", "_"),
        ]
    ),
    st.from_regex(r"[A-Za-z_-]{1,4}", fullmatch=True),
)


@given(st.dictionaries(KEYS, st.text(max_size=3)), st.lists(NAMES, max_size=5))
def test_headers_are_the_same_as_when_all_are_read(
    environ: dict[str, str], names: list[str]
) -> None:
    all_read = Headers(dict(EnvironHeaders(environ)))
    direct = RequestHeaders(environ)
    for name in [*names, *all_read]:
        assert direct.get(name) == all_read.get(name)
        assert (name in direct) is (name in all_read)
    assert list(direct) == list(all_read)
    assert len(direct) == len(all_read)
    assert direct == all_read == direct
    assert repr(direct) == repr(all_read)
    assert {**direct} == {**all_read}
