"""Hostile texts: none makes a pattern look at its characters again and again."""

import subprocess
import sys

import pytest

LENGTH = 250_000  # characters
HANG = 120  # seconds; a pattern that reads so long a text over and over takes many minutes
KINDS = {
    "mail": ["a", "a@", "a@b.", "@", "a.b", "a%40b.cc", "-"],
    "payment": [
        "1",
        "1 ",
        "4111 ",
        "4111-1111-1111-1112 ",
        "GB82WEST",
        "GB82 ",
        "A1",
        "DE89 3704 0044 0532 0130 01 ",
    ],
    "phones": [
        "1",
        "0 ",
        "+1 ",
        "(",
        "tel ",
        "tel: 1",
        "030 12345 ",
        "+44 20 7946 0958 ",
        "phone number is ",
        "0 1-2.",
    ],
    "credentials": [
        "sk-",
        "sk-a",
        "eyJ",
        "eyJaaaaaaaa.",
        "-",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----AAAA\n",
        "xoxb-",
        "://",
        "://a:",
        "://a:b",
        "bearer ",
        "authorization: ",
        "1:AA",
        "SG.",
        "\\n",
    ],
    "assigned": [
        "password",
        "password=",
        "password: ",
        "password: '",
        "--",
        "--a",
        "--password ",
        "token = ",
        'token="',
        "secret:&",
        "api_key\\",
        "password is ",
        "password:str=",
        "password>a<",
        "пароль: ",
    ],
}
PROGRAM = """
import importlib, sys
module = importlib.import_module(f"router_model.data.privacy.{sys.argv[1]}")
finders = [find for name, find in vars(module).items() if name.startswith("find_")]
assert finders
for unit in sys.argv[3:]:
    text = unit * (int(sys.argv[2]) // len(unit))
    for find in finders:
        sum(1 for _ in find(text + "!"))
print("searched", len(sys.argv[3:]), "texts")
"""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_hostile_text_is_searched_to_its_end(kind: str) -> None:
    command = [sys.executable, "-c", PROGRAM, kind, str(LENGTH), *KINDS[kind]]
    done = subprocess.run(command, check=True, timeout=HANG, capture_output=True, text=True)
    assert done.stdout == f"searched {len(KINDS[kind])} texts\n"
