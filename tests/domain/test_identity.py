"""The relation of two contacts: equal identifiers, and the two forms of one number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.contacts import Contact, Relation, identity_key, relation

LID = "123456789012345@lid"
USER = "BR.00000000000000000001"
NUMBER = "5511999999999"


VARIANTS = [
    pytest.param("5511999999999", "551199999999", id="Brazil, a mobile with its ninth digit"),
    pytest.param("5531961234567", "553161234567", id="Brazil, a mobile that starts with 6"),
    pytest.param("5215512345678", "525512345678", id="Mexico"),
    pytest.param("5491123456789", "541123456789", id="Argentina, Buenos Aires"),
    pytest.param("5493511234567", "543511234567", id="Argentina, an area code of three digits"),
]

DIFFERENT = [
    pytest.param("5511999999999", "5511999999998", id="another subscriber"),
    pytest.param("5511999999999", "552199999999", id="another area code"),
    pytest.param("5511933334444", "551133334444", id="a Brazilian landline and a mobile"),
    pytest.param("5511951234567", "551151234567", id="a Brazilian mobile never of eight digits"),
    pytest.param("5511899999999", "551199999999", id="not the digit 9"),
    pytest.param("5599999999999", "559999999998", id="nines, and the last digit differs"),
    pytest.param("5501999999999", "550199999999", id="no area code of Brazil"),
    pytest.param("5215512345678", "525512345679", id="Mexico, another subscriber"),
    pytest.param("5225512345678", "525512345678", id="Mexico, not the digit 1"),
    pytest.param("5211512345678", "521512345678", id="Mexico, no area code starts with 1"),
    pytest.param("5491123456789", "541123456780", id="Argentina, another subscriber"),
    pytest.param("5481123456789", "541123456789", id="Argentina, not the digit 9"),
    pytest.param("54111523456789", "541123456789", id="Argentina, the 15 dialled at home"),
    pytest.param("4911999999999", "491199999999", id="Germany has no such forms"),
    pytest.param("5611999999999", "561199999999", id="Chile has no such forms"),
    pytest.param("15512345678", "5512345678", id="a number within another"),
    pytest.param("525512345678", "545512345678", id="Mexico and Argentina"),
]


@pytest.mark.parametrize(("longer", "shorter"), VARIANTS)
def test_the_two_forms_of_one_number_are_variants_with_one_key(longer: str, shorter: str) -> None:
    one, other = Contact(number=longer), Contact(number=shorter)
    assert relation(one, other) is relation(other, one) is Relation.VARIANT
    assert identity_key(one) == identity_key(other)
    assert relation(one, one) is relation(other, other) is Relation.SAME


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_numbers_are_different_and_have_two_keys(one: str, other: str) -> None:
    first, second = Contact(number=one), Contact(number=other)
    assert relation(first, second) is relation(second, first) is Relation.DIFFERENT
    assert identity_key(first) != identity_key(second)


@pytest.mark.parametrize(
    ("requested", "reported", "expected"),
    [
        (Contact(number=NUMBER), Contact(lid=LID), Relation.INCOMPARABLE),
        (Contact(number=NUMBER), Contact(user_id=USER), Relation.INCOMPARABLE),
        (Contact(lid=LID), Contact(user_id=USER), Relation.INCOMPARABLE),
        (Contact(lid=LID), Contact(lid=LID), Relation.SAME),
        (Contact(lid=LID), Contact(lid="1@lid"), Relation.DIFFERENT),
        (Contact(user_id=USER), Contact(user_id=USER), Relation.SAME),
        (Contact(user_id=USER), Contact(user_id="US.1"), Relation.DIFFERENT),
        (Contact(number=NUMBER), Contact(number=NUMBER, lid=LID), Relation.SAME),
        (Contact(number=NUMBER), Contact(number="551199999999", lid=LID), Relation.VARIANT),
        (Contact(number=NUMBER, user_id=USER), Contact(user_id=USER), Relation.SAME),
        (Contact(NUMBER, lid=LID), Contact("551199999999", lid=LID), Relation.SAME),
        (Contact(NUMBER, lid=LID), Contact(NUMBER, lid="1@lid"), Relation.DIFFERENT),
        (Contact(NUMBER, lid=LID), Contact("14155552671", lid=LID), Relation.DIFFERENT),
        (Contact(NUMBER, user_id=USER), Contact(NUMBER, user_id="US.1"), Relation.DIFFERENT),
        (Contact(NUMBER, lid=LID), Contact(NUMBER, user_id=USER), Relation.SAME),
        (Contact(number="123456789012345"), Contact(lid=LID), Relation.INCOMPARABLE),
    ],
)
def test_contacts_are_compared_by_all_kinds_of_identifiers_of_both(
    requested: Contact, reported: Contact, expected: Relation
) -> None:
    assert relation(requested, reported) is relation(reported, requested) is expected


@pytest.mark.parametrize(
    ("contact", "key"),
    [
        (Contact(NUMBER, LID, USER), identity_key(Contact("551199999999"))),
        (Contact(lid=LID, user_id=USER), identity_key(Contact(lid=LID))),
        (Contact(user_id=USER), USER),
    ],
)
def test_the_key_is_from_the_number_then_the_lid_then_the_user_id(
    contact: Contact, key: str
) -> None:
    assert identity_key(contact) == key


# --- properties

digits = st.text(alphabet="0123456789", min_size=7, max_size=15)
near = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["55", "52", "54"]),
        st.sampled_from(["", "1", "9"]),
        st.sampled_from(["11", "31", "55"]),
        st.sampled_from(["", "9"]),
        st.sampled_from(["5", "6", "9"]),
        st.sampled_from(["1234567", "0000000"]),
    ),
)
numbers = digits | near
contacts = st.builds(
    lambda number, lid, user_id: (
        Contact(number, lid, user_id) if number or lid or user_id else None
    ),
    st.none() | near,
    st.none() | st.sampled_from(["1@lid", "2@lid"]),
    st.none() | st.sampled_from(["BR.1", "BR.2"]),
).filter(lambda contact: contact is not None)


@given(contacts, contacts)
def test_the_relation_is_symmetric(one: Contact, other: Contact) -> None:
    assert relation(one, other) is relation(other, one)


@given(contacts)
def test_the_relation_is_reflexive(contact: Contact) -> None:
    assert relation(contact, contact) is Relation.SAME


@given(numbers, numbers)
def test_two_numbers_have_one_key_if_and_only_if_they_are_the_same_or_variants(
    one: str, other: str
) -> None:
    first, second = Contact(number=one), Contact(number=other)
    found = relation(first, second)
    assert (identity_key(first) == identity_key(second)) is (
        found in (Relation.SAME, Relation.VARIANT)
    )
    assert (found is Relation.SAME) is (one == other)


@given(numbers, numbers, numbers)
def test_being_the_same_or_a_variant_is_transitive(a: str, b: str, c: str) -> None:
    close = (Relation.SAME, Relation.VARIANT)
    first, second, third = (Contact(number=each) for each in (a, b, c))
    if relation(first, second) in close and relation(second, third) in close:
        assert relation(first, third) in close


@given(contacts, contacts)
def test_different_kinds_of_identifiers_have_different_keys(one: Contact, other: Contact) -> None:
    if identity_key(one) == identity_key(other):
        assert relation(one, other) is not Relation.INCOMPARABLE
