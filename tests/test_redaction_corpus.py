"""Redaction on 500 lines written for it: 260 with secrets of every kind, 240 without, which look alike.

A line with a secret is a template and the secret; the secrets are made up or the documentations' examples.
"""

import base64
import json
import random
import re
import string
from pathlib import Path

import pytest
from click.testing import CliRunner

from router_model.cli import main
from router_model.data.privacy.redaction import redact_text

SIGNS = string.ascii_letters + string.digits
CHANCE = random.Random(20)


def letters(count: int, among: str = SIGNS) -> str:
    """Random characters, a digit and a capital always among them."""
    return "".join(CHANCE.choices(among, k=count - 2)) + "7" + among[-11 if len(among) > 30 else -1]


def web_token() -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": letters(8), "iat": 1700000000})
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.{letters(43)}"


def private_key(kind: str) -> str:
    body = "\\n".join(letters(64) for _ in range(3))
    return f"-----BEGIN {kind}PRIVATE KEY-----\\n{body}==\\n-----END {kind}PRIVATE KEY-----"


EMAILS = (
    "ada.lovelace@example.com bob+lists@mail.example.co.uk jürgen@müller.example иван@почта.рф "
    "x_y-z@sub.example.org o2@example.io CAROL@EXAMPLE.NET li@example.cn marie%40example.fr sato@example.jp"
).split()
EMAIL_LINES = [
    "Write to {} before Friday.",
    "请把合同发到{}，谢谢。",
    "Schreib mir bitte an {}!",
    "Mon adresse est {}.",
    "contact: <{}>",
    '{{"to": "{}", "cc": []}}',
    "[mail me](mailto:{}?subject=hi)",
    "{}으로 보내 주세요",
    "Пишите на {} или звоните.",
    "{}に送ってください",
    "email={}&next=/home",
    "git commit --author='Ada <{}>'",
]
PHONES = [
    "+44 20 7946 0958",
    "+1 (415) 555-2671",
    "+1-212-555-0187",
    "+49 30 901820",
    "+49 (0)30 901820",
    "+33 6 12 34 56 78",
    "+86 138 0013 8000",
    "+81 90-1234-5678",
    "+91 98765 43210",
    "+55 11 98765-4321",
    "+7 495 123-45-67",
    "+34 612 34 56 78",
    "+442079460958",
    "0033 6 12 34 56 78",
    "(415) 555-2671",
    "415-555-2671",
    "415.555.2671",
    "06 12 34 56 78",
    "06.12.34.56.78",
    "030 901820-0",
    "0171/1234567",
    "0171 1234567",
    "020 7946 0958",
    "07700 900123",
    "090-1234-5678",
    "010-1234-5678",
    "(11) 98765-4321",
    "8 (495) 123-45-67",
    "0412 345 678",
    "0532 123 45 67",
    "1-800-555-0199",
    "138-0013-8000",
]
PHONE_LINES = [
    "Call me at {} after six.",
    "Ruf mich unter {} an.",
    "Appelez le {} demain.",
    "Контакт: {}",
    "联系方式：{}",
    "{}",
    "| Ada | {} | London |",
]
NAMED_PHONES = [
    ("Phone: {}", "5552671"),
    ("my phone number is {}", "4155552671"),
    ('"phone": "{}"', "2125550187"),
    ("Tel.: {}", "90182011"),
    ("手机号是{}，请联系我", "13800138000"),
    ("WhatsApp {}", "98765 43210"),
    ("Teléfono: {}", "612 345 678"),
    ("téléphone portable : {}", "612345678"),
    ("휴대폰: {}", "01012345678"),
    ("موبايل: {}", "0501234567"),
    ("тел. {}", "495 1234567"),
    ("text me: {}", "415 555 2671"),
]
CARDS = [
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111111111111111",
    "5555 5555 5555 4444",
    "5105105105105100",
    "3782 822463 10005",
    "378282246310005",
    "6011 1111 1111 1117",
    "3530-1113-3330-0000",
    "30569309025904",
    "2223003122003222",
    "6200000000000005",
    "2200 0000 0000 0004",
    "4000\u00a00566\u00a05566\u00a05556",
]
CARD_LINES = [
    "Charge {} please.",
    "Meine Kartennummer ist {}, gültig bis 12/29.",
    "carte : {}",
    "卡号{}，有效期到明年",
    '{{"card_number": "{}"}}',
    "order 1234 {} exp 04/31 cvc 123",
    "card={}&zip=10115",
]
IBANS = [
    "GB82 WEST 1234 5698 7654 32",
    "DE89370400440532013000",
    "DE89 3704 0044 0532 0130 00",
    "FR14 2004 1010 0505 0001 3M02 606",
    "NL91ABNA0417164300",
    "ES91 2100 0418 4502 0005 1332",
    "CH93 0076 2011 6238 5295 7",
    "NO93 8601 1117 947",
    "PL61109010140000071219812874",
    "MT84MALT011000012345MTLCAST001S",
    "gb82west12345698765432",
]
IBAN_LINES = [
    "Bitte auf {} überweisen.",
    "IBAN: {}",
    "virement vers {} avant lundi",
    "請匯到{}。",
    "pay {}, thanks",
]
KEYS = [
    lambda: f"sk-proj-{letters(48)}",
    lambda: f"sk-ant-api03-{letters(80)}-AA",
    lambda: f"sk-{letters(48)}",
    lambda: f"sk-or-v1-{letters(60)}",
    lambda: f"AKIA{letters(16, string.ascii_uppercase + '234567')}",
    lambda: f"ASIA{letters(16, string.ascii_uppercase + '234567')}",
    lambda: f"ghp_{letters(36)}",
    lambda: f"gho_{letters(36)}",
    lambda: f"github_pat_{letters(22)}_{letters(59)}",
    lambda: f"glpat-{letters(20)}",
    lambda: f"xoxb-123456789012-{letters(24)}",
    lambda: f"xapp-1-A{letters(12)}-{letters(40)}",
    lambda: f"AIza{letters(35)}",
    lambda: f"ya29.{letters(60)}",
    lambda: f"GOCSPX-{letters(28)}",
    lambda: f"sk_live_{letters(24)}",
    lambda: f"rk_test_{letters(24)}",
    lambda: f"whsec_{letters(32)}",
    lambda: f"hf_{letters(34)}",
    lambda: f"gsk_{letters(52)}",
    lambda: f"npm_{letters(36)}",
    lambda: f"pypi-AgE{letters(80)}",
    lambda: f"SG.{letters(22)}.{letters(43)}",
    lambda: f"dop_v1_{letters(64, string.digits + 'abcdef')}",
    lambda: f"r8_{letters(37)}",
    lambda: f"xai-{letters(80)}",
    web_token,
    lambda: private_key(""),
    lambda: private_key("RSA "),
    lambda: private_key("EC "),
    lambda: private_key("OPENSSH "),
]
KEY_LINES = [
    "{}",
    "why does {} not work?",
    "export KEY={}",
    "我的密钥是 {} 请检查",
    "client = Client('{}')",
    "Der Schlüssel lautet {}.",
]
NAMED = [
    ('api_key="{}"', "8f14e45fceea167a5a36dedd4bea2543"),
    ("API-Key: {}", "Zx81Qw7LpN3tRk9v"),
    ("?api_key={}&q=1", "c9f0f895fb98ab9159f5"),
    ("AWS_SECRET_ACCESS_KEY={}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"),
    ("client_secret: '{}'", "q8N~7Xk2vP-4mZ.tR9sLw"),
    ("x-api-key: {}", "d3b07384d113edec49eaa6238ad5ff00"),
    ("--token {}", "9bf31c7ff062936a96d3"),
    ("token = '{}'", "c20ad4d76fe97759aa27a0"),
    ("Authorization: Bearer {}", "mF_9.B5f-4.1JqM"),
    ('-H "Authorization: Basic {}"', "dXNlcjpwYXNzd29yZA=="),
    ("'Authorization': 'token {}'", "45c48cce2e2d7fbdea1a"),
    ("bearer {}", "AbCdEf123456GhIjKl7890"),
    ("密钥：{}", "a87ff679a2f3e71d9181"),
    ("AccountKey={};EndpointSuffix=x", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq=="),
    ("password: {}", "hunter22"),
    ("my password is {}", "Tr0ub4dor&3"),
    ("Passwort: {}", "Größe123!"),
    ("mot de passe : {}", "Soleil2024!"),
    ("密码是{}，别告诉别人", "abc12345"),
    ("пароль: {}", "qwerty123"),
    ("contraseña: {}", "Gato.Negro7"),
    ("senha = {}", "bra5il!2014"),
    ("DB_PASSWORD={}", "s3cr3t-db"),
    ('"password": "{}"', "p@ss,w0rd"),
    ('{{\\"password\\": \\"{}\\"}}', "esc4ped!"),
    ("**Password:** {}", "b0ld-move"),
    ("mysql --password={}", "r00tr00t"),
    ("password: str = '{}'", "typ3dvalue"),
    ("<password>{}</password>", "xml4ever"),
    ("パスワード：{}", "sakura77"),
    ("비밀번호: {}", "hangul99!"),
    ("passphrase is {}", "0pen-Sesame"),
    ("PIN and password: {}", "90210778"),
    ("postgres://{}@db.internal:5432/app", "admin:hunter2"),
    ("https://{}@proxy.example.com:8080", "ada:p%40ss"),
    ("redis://{}@cache:6379/0", ":s3cret"),
    ("git clone https://{}@git.example.com/x.git", "oauth2:tok-1"),
    ("https://hooks.slack.com/services/{}", "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"),
]


def planted() -> list[tuple[str, str]]:
    """(line, secret) of each of 260 lines with a secret; every secret and every template comes up."""
    pairs = [(line, secret) for line, secret in [*NAMED, *NAMED_PHONES]]
    pairs += [(KEY_LINES[i % len(KEY_LINES)], make()) for i in range(62) for make in [KEYS[i % len(KEYS)]]]
    for lines, secrets, count in (
        (EMAIL_LINES, EMAILS, 40),
        (PHONE_LINES, PHONES, 64),
        (CARD_LINES, CARDS, 28),
        (IBAN_LINES, IBANS, 16),
    ):
        pairs += [
            (lines[(i + i // len(secrets)) % len(lines)], secrets[i % len(secrets)]) for i in range(count)
        ]
    return [(line.format(secret), secret) for line, secret in pairs]


PLAIN = """\
Upgrade numpy from 1.26.4 to 2.0.0rc1 and torch to 2.4.1+cu121.
ISBN 978-0-306-40615-7 and ISBN-10 0-306-40615-2 are the same book.
ISBN 9780306406157
ISSN 2049-3630, DOI 10.1000/182, arXiv:2406.18665v2
The meeting is on 2024-03-15 from 09:30 to 17:45.
Am 01.02.2024 um 10.30 Uhr, Raum 3.14.
12/31/2023 23:59:59.999999 UTC
2024-01-02T03:04:05.678901+00:00
From 1999-2004 and 2010-2015 the price rose from 1,250,000 to 3,400,000.
Unix time 1700000000 is 2023-11-14; in milliseconds 1700000000000, in nanoseconds 1700000000000000000.
order number 1234-5678-9012-3456 was shipped
Order 4111111111111112 fails the check.
Bestellung 2024-000123-DE ist unterwegs.
invoice no. 30569309025905 of last year
tracking 1Z999AA10123456784
SKU 0012-3456-78
UUID 550e8400-e29b-41d4-a716-446655440000
urn:uuid:12345678-1234-5678-1234-567812345678
commit 9fceb02d0ae598e95dc970b74767f19372d61af8
git show e83c5163316f89bfbde7d9ab23ca2e25604af290 -- README
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
md5 d41d8cd98f00b204e9800998ecf8427e of an empty file
etag "33a64df551425fcc55e4d42a148795d9f25f89d4"
127.0.0.1:8080 and 192.168.10.254/24 and 10.0.0.1
listen on [2001:db8::8a2e:370:7334]:443
MAC 00:1B:44:11:3A:B7
ssh root@server
ssh ada@10.0.0.7 -p 2222
scp report.pdf backup@nas:/volume1/docs
git clone git@github.com:org/repo.git
user@localhost is no address of mail
npm install lodash@4.17.21 @types/node@20.11.5
pip install pkg @ https://example.com/pkg-1.0.whl
@app.route("/users/<int:id>")
@pytest.mark.parametrize("x", [1, 2, 3])
Follow @ada_lovelace and @bob on the fediverse.
C = A @ B + D
loss = (X @ W.shape[0]).mean()
icon@2x.png and icon@3x.png
meet me @ 5pm @ the café
pi = 3.14159265358979323846264338327950288
e = 2.718281828459045 and sqrt(2) = 1.4142135623730951
2^64 = 18446744073709551616
100! ends in 24 zeros; 25! = 15511210043330985984000000
Fibonacci: 1 1 2 3 5 8 13 21 34 55 89 144 233 377 610 987 1597 2584 4181 6765
The primes 1000000007 and 998244353 are popular moduli.
1 000 000 007 is prime, as is 2 147 483 647.
Compute 123456789 * 987654321 = 121932631112635269.
Evaluate 4000 + 3000 + 2000 + 1000.
4096 8192 16384 32768 65536 131072
0.00721 0.45 0.5245 2.0 0.00468 0.5 0.4795 2.1 0.00298
x = +1.2345678901 and y = -9.8765432109
x + 31415926535 = 0
Solve x^2 - 1234567890x + 1 = 0.
f(2)+3141592653 is what the code prints
\\frac{123456}{789012} \\approx 0.15647
[[1, 2, 3], [4, 5, 6], [7, 8, 9]]
6.02214076e23 per mole, 1.602176634e-19 coulomb
c = 299 792 458 m/s
The population was 7 910 452 118 in 2021 and 8 045 311 447 in 2023.
Price: $1,299.99 (was $1,499.00), or 12 x $108.33
1.234.567,89 € inkl. 19 % MwSt.
¥12,800 → ¥9,980
GBP 4,500.00 per annum
between 200-300 and 400-5000 units
pages 123-145, 210-215
room 415-555, floor 2
chapter 06 12 34
lottery numbers 4 8 15 16 23 42
01 02 03 04 05 06
bus lines 100, 200 and 300
score 21-19 21-17 in 45 minutes
The ratio is 16:9, the resolution 1920x1080.
postcode SW1A 1AA, 10115 Berlin, 75008 Paris
zip 94103-1234
lat 52.520008, lon 13.404954
52.520008,13.404954
N 52° 31' 12.025" E 13° 24' 17.834"
flight LH1234 at gate A12
DE 12 or FR 14 or GB 82 are prefixes
GB00 WEST 1234 5698 7654 32 has wrong check digits
DE89370400440532013001 has wrong check digits
XX89370400440532013000 is of no country
4111 1111 1111 1112 fails the Luhn check
1234 5678 9012 3456
1234567890123456
9999 9999 9999 9999
model gpt-4o-2024-08-06, claude-3-5-sonnet-20241022
text-embedding-3-small costs $0.02 per 1M tokens
max_tokens: 4096, num_tokens = 128000
token = tokens[0]
token = tokenizer.encode(text)[0]
pad_token = "[PAD]"; eos_token='<|endoftext|>'
token_id = 50256
for token in tokens: print(token)
const token = await getToken2(user)
if (token == null) return;
token: string;
the token is valid for 3600 seconds
CSRF token missing or incorrect.
secret: my-secret-name-01
The secret is that everyone has 24 hours.
secretName: db-credentials-v2
api_key = os.environ["API_KEY"]
api_key="YOUR_API_KEY_123456"
api_key: ${{ secrets.API_KEY1 }}
API key: see section 4.2 of the manual
api_key=None
export OPENAI_API_KEY=$OPENAI_KEY
OPENAI_API_KEY=sk-...
sk-learn is not the name of scikit-learn
password: required
password = input("Password: ")
password=os.environ["X1"]
password = get_password2()
if password == password2: pass
password: Optional[str] = None
Password must be at least 12 characters.
password: 8+ characters
"password": "string"
password_hash = bcrypt.hashpw(data, salt)
hash the password with sha256
password: sha256
DB_PASSWORD=${DB_PASS2}
PGPASSWORD=$PASS psql -h db
password: <your password>
I forgot my password, what now?
The password is incorrect. Try again in 30 seconds.
Passwort vergessen? Klicken Sie hier.
mot de passe oublié
пароль неверный, попробуйте ещё раз
密码错误，请重试
Authorization: Bearer $TOKEN
Authorization: Bearer <token>
-H "Authorization: Bearer {token}"
the bearer of bad news arrived in 1945
bearer instruments are payable to the holder
-----BEGIN CERTIFICATE-----
-----BEGIN PUBLIC KEY-----
https://example.com:8443/path?x=1&y=2#top
http://user@host/path is odd
postgres://localhost:5432/app
postgresql://${USER}:${PASSWORD}@db/app
https://example.com/@ada/114
redis://cache:6379/0
ftp://files.example.org/pub/v1.2.3/
s3://bucket/key/2024/01/02/part-00000.parquet
C:\\Users\\ada\\Documents\\v2.1
/usr/lib/x86_64-linux-gnu/libc.so.6
0xdeadbeef 0x7ffee4b2a9c0 0b101010
#1a2b3c and rgba(26, 43, 60, 0.5)
\\u0041\\u0042 is AB
base64 of hello is aGVsbG8=
eyJ is how many tokens begin
AKIA is a prefix of AWS keys
ghp_ is a prefix of GitHub tokens
regex: ^\\d{3}-\\d{4}$
seed=42, lr=3e-4, epochs=12, batch_size=128
E0601: Cannot find module 'x' (code 404)
Error 0x80070005 at line 1234
RFC 2104, ISO 8601, IEEE 754-2019, EN 60950-1
iPhone 15, Galaxy S24, Pixel 8
iphone 12 13 14 15 16
phone booths disappeared in 2017
my phone has 128 GB and cost 899
mobile 2023-01-01 10:00 release notes
telephone was patented in 1876
The cell has 10000000 receptors.
Call me Ishmael.
tel est le but
handy tips for 2024
fax machines of 1985-1995
emergency: 112 or 911
AT&T, R&D, Q&A
ada at example dot com
E-Mail-Adresse fehlt
メールアドレスを教えてください
请告诉我您的电话号码
전화번호를 알려 주세요
ما هو رقم الهاتف؟
13800138000 is 138 hundred million and more
86400 seconds make a day, 31536000 a year
temperature 36.6-37.2 °C, pressure 120/80
DNA: ACGTACGTTAGC 5'-3'
1d6+4, 2d20, 4d6kh3
e4 e5 Nf3 Nc6 Bb5 a6
3 + 4i, 5 - 12i
SELECT * FROM t WHERE id IN (101, 102, 103) LIMIT 1000 OFFSET 20000;
INSERT INTO t VALUES (1, 'a', 2024, 3.5);
awk '{print $1}' access.log | sort | uniq -c
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo $i; done
chmod 0644 file && umask 0022
cron: 0 30 4 1 1 *
Who won in 1990, 1994, 1998, 2002, 2006, 2010, 2014, 2018 and 2022?
Write a poem about the sea.
Explain the proof that there are infinitely many primes.
""".splitlines()


def generated_plain(count: int) -> list[str]:
    """Lines of long numbers and hashes: identifiers, versions, dates, arithmetic."""
    chance = random.Random(5)
    number = chance.randint
    kinds = [
        lambda: f"request {number(0, 16**8):08x}-4b1c-4f0e-9d2a-{number(0, 16**12):012x}",
        lambda: f"commit {number(0, 16**40):040x}",
        lambda: f"v{number(0, 20)}.{number(0, 99)}.{number(0, 99)}-rc{number(1, 9)}",
        lambda: f"{number(1900, 2030)}-{number(1, 12):02}-{number(1, 28):02} was a day",
        lambda: f"{number(10**6, 10**9)} * {number(10**6, 10**9)} = {number(10**14, 2 * 10**14)}",
        lambda: f"order #{number(10**9, 10**10)} of {number(2, 99)} items, {number(1, 900)}.95 EUR",
        lambda: f"{chance.random():.16f}, {chance.random():.12f}, {-chance.random():.10f}",
        lambda: f"10.{number(0, 255)}.{number(0, 255)}.{number(0, 255)}:{number(1024, 65535)}",
    ]
    return [kinds[i % len(kinds)]() for i in range(count)]


def plain() -> list[str]:
    """240 lines without a secret."""
    return PLAIN + generated_plain(240 - len(PLAIN))


def row(number: int, line: str) -> dict[str, object]:
    """A record's row that holds the line in one of the places where text stands."""
    places: list[dict[str, object]] = [
        {"prompt": line},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": line}]}]},
        {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": line}]},
        {"prompt": "hi", "model": "m", "answer": line},
        {"prompt": "hi", "reference": line},
        {"prompt": "hi", "feedback": {"thumb": "down", "next_user": line}},
        {"prompt": "hi", "meta": {"notes": [{"text": line}]}},
    ]
    arguments = json.dumps({"text": line})
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    places.append({"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]})
    return {"id": f"r-{number}", **places[number % len(places)]}


def test_the_corpus_is_500_different_lines() -> None:
    lines = [line for line, _ in planted()] + plain()
    assert len(set(lines)) == len(lines) == 500


def test_every_planted_secret_is_replaced_and_nothing_beside_it() -> None:
    for line, secret in planted():
        before, after = line.split(secret, 1)
        redacted = redact_text(line)
        assert re.fullmatch(re.escape(before) + "<[A-Z_]+>" + re.escape(after), redacted), (line, redacted)


@pytest.mark.parametrize("line", plain())
def test_a_line_without_a_secret_stays_byte_for_byte(line: str) -> None:
    assert redact_text(line) == line


def test_the_command_clears_a_record_set_wherever_the_secret_stands(tmp_path: Path) -> None:
    source, out = tmp_path / "log.jsonl", tmp_path / "clean.jsonl"
    chance = random.Random(1)
    for turn in range(8):  # each line comes to stand in each place
        lines = [*planted(), *((line, "") for line in plain())]
        chance.shuffle(lines)
        rows = [json.dumps(row(number + turn, line)) for number, (line, _) in enumerate(lines)]
        source.write_text("\n".join(rows) + "\n")
        done = CliRunner().invoke(main, ["redact", str(source), "--out", str(out), "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) | {"replaced": {}} == {
            "rows": 500,
            "changed": 260,
            "bad": 0,
            "replaced": {},
        }
        written = out.read_text().splitlines()
        for (_, secret), was, now in zip(lines, rows, written, strict=True):
            if secret:
                inner = json.dumps(json.dumps(secret)[1:-1])[1:-1]
                assert not any(form in now for form in (secret, json.dumps(secret)[1:-1], inner)), now
            else:
                assert now == was
