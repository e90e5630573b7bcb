"""Secrets do not leave an attempt, however they are spelled, and looking for them takes no time to speak of."""

from __future__ import annotations

import time

import pytest

from airflow_autoremed import database_urls
from airflow_autoremed.redaction import is_secret, mask_secrets

S = "hunter2XyZ/987"
LONG = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC987abcdefghij"

SECRETS = {
    "a Scala map": f"options: Map(sfUser -> bob, sfPassword -> {S}, sfURL -> x)",
    "pairs in Python": f"[('spark.hadoop.fs.s3a.secret.key', '{LONG}'), ('spark.app.name','x')]",
    "--verbose": f"  (spark.hadoop.javax.jdo.option.ConnectionPassword,{S})",
    "a properties file": f"spark.hadoop.fs.s3a.secret.key   {LONG}",
    "escaped JSON": '{"msg": "conf {\\"password\\": \\"' + S + '\\"}"}',
    "JSON escaped twice": '{\\\\\\"password\\\\\\": \\\\\\"' + S + '\\\\\\"}',
    "a Hadoop setting": f"<property><name>password</name><value>{S}</value></property>",
    "an element": f"<password>{S}</password>",
    "a body": f"POST body grant_type=x&client_secret%3D{LONG}",
    "a URL in a URL": f"redirect=https%3A%2F%2Fu%3A{LONG}%40host",
    "a number": '{"password": 987654321}',
    "a comma in it": "password=abc,def987 rest",
    "braces": "jdbc:sqlserver://h;user=sa;password={ab;cd987};x=y",
    "an ampersand in it": "password=ab&cd987",
    "a bracket in it": "connect(password=ab)cd987)",
    "a header": f"X-Vault-Token: hvs.CAESIJ{LONG}",
    "another header": f"PRIVATE-TOKEN: {LONG}",
    "no scheme": f"Authorization: {LONG}",
    "a cookie": f"Cookie: JSESSIONID={LONG}",
    "a slash in a URL's": "postgres://u:pa/ss987@h/db",
    "an at sign in a URL's": "postgres://u:p@ss987@h/db",
    "a URL that was cut off": f"cannot open postgres://u:{LONG}",
    "a token for a user": f"https://{LONG}@github.com/x",
    "GitHub": "clone ghu_16C7e42F292c6912E7710c838347Ae178987",
    "Vault": "login hvs.CAESIJ0123456789abcdefghijkl987",
    "PyPI": "upload pypi-AgEIcHlwaS5vcmcCJDAxMjM987",
    # Cut in two, or GitHub's push protection takes it for a real one.
    "Stripe": "key sk_live_51H8abcdefghijklmnopqrs987",
    "SendGrid": "using SG.abcdefghijklmnop.qrstuvwxyz0123456987",
    "npm": "//registry/:_authToken=npm_abcdefghijklmnop987",
    "Azure": f"fs.azure.account.key.acc.dfs.core.windows.net {LONG}",
    "a key in one line": f'"private_key": "-----BEGIN PRIVATE KEY-----\\n{BODY}\\n-----END PRIVATE KEY-----\\n"',
    "the end of a key": f"{BODY}\n-----END PRIVATE KEY-----",
    "the middle of a key": f"x\n{BODY}\n{BODY}\n{BODY}\ny",
    "a pair of AWS": f"AKIAIOSFODNN7EXAMPLE,{LONG}",
    "an environment": f"MYSQL_PWD={LONG}",
    "a JVM option": "-Djavax.net.ssl.trustStorePassword=changeit987",
    "mysql": "mysql -u root -phunter987 -h x",
    "JAAS": "PlainLoginModule required username='u' password='hunter987';",
    "a PEM option": "pem_private_key -> MIIEvQIBADANBgkqhkiG9w0BAQ987",
    "a sentence": "password is hunter987",
    "a wide equals sign": "password\N{FULLWIDTH EQUALS SIGN}hunter987",
    "Kubernetes": "name: DB_PASSWORD, value: hunter987",
    "YAML": "- name: DB_PASSWORD\n  value: hunter987",
    "Java": "EnvVar(name=DB_PASSWORD, value=hunter987, valueFrom=null)",
    "a quote that is not closed": "password='abc def987",
    "two names": "token a.password=hunter987",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_masked_however_it_is_spelled(text: str) -> None:
    masked = mask_secrets(
        f"before\n{text}\nafter" if "cut off" not in text and "postgres://u:w" not in text else text
    )
    for part in (S, LONG, BODY, "987"):
        assert part not in masked
    assert mask_secrets(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "org.apache.spark.sql.catalyst.parser.ParseException: mismatched input token: expecting EOF",
        "UserGroupInformation: PriviledgedActionException as:bob (auth:SIMPLE) cause:java.io.IOException",
        "Password is incorrect for user bob",
        "INFO BlockManager: passed=5, failed=2",
        "http://host:8080/jobs?mail=a@b.example",
        "abfss://container@account.dfs.core.windows.net/part-0000",
        "24/05/01 INFO Client: delegation token renewal is off",
        "java.lang.NoSuchFieldError: secretKey",
        "KeyError: 'customer'",
        "spark.authenticate=true",
        "Token can not be null, key = null",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_secrets(text) == text


def test_a_log_with_odd_characters_is_masked_and_otherwise_kept() -> None:
    assert mask_secrets("\udcff Grüße password=geheim987 \x00") == "\udcff Grüße password=*** \x00"


@pytest.mark.parametrize(
    "key",
    [
        "spark.executorEnv.DB",
        "spark.yarn.appMasterEnv.X",
        "spark.hadoop.x.sas",
        "spark.hadoop.fs.azure.account.auth",
        "spark.driverEnv.AUTH",
        "MYSQL_PWD",
        "DB_PASS",
        "spark.sql.catalog.c.credential",
        "spark.hadoop.fs.s3a.access.key",
        "fs.azure.account.key.x.dfs.core.windows.net",
    ],
)
def test_a_setting_that_may_hold_a_secret_is_known_by_its_name(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key", ["spark.executor.memory", "spark.authenticate", "spark.sql.adaptive.enabled", "spark.app.name"]
)
def test_other_settings_keep_their_values(key: str) -> None:
    assert not is_secret(key)


HARD = [
    *[
        "password",
        "pass.",
        "a.",
        "token=",
        "token,",
        "account.key.",
        "://u:",
        "://",
        "key ",
        "bearer ",
        "eyJ",
        "eyJ-",
        "eyJabcdefgh.",
        "sk-",
        "SG.",
        "A",
        "password='",
        "password=,",
        "jdbc:oracle:thin:",
        "password>",
        "(a.token,",
        "mysql -",
        "%3a%2f%2f",
        "https://",
        "AKIAIOSFODNN7EXAMPLE",
        "pass,=",
        'token \\"',
        "password={",
        "password is ",
        "secret.key ",
        "--password ",
        "cookie:",
        "-----BEGIN PRIVATE KEY-----",
    ],
    "name: password\n",
    "A" * 64 + "\n",
]


@pytest.mark.parametrize("seed", HARD)
def test_the_time_it_takes_grows_with_the_text_and_no_faster(seed: str) -> None:
    """500 KB, as much as is kept of a log, within seconds whatever it says."""
    text = (seed * (500_000 // max(1, len(seed)) + 1))[:500_000] + " pass"
    began = time.process_time()
    mask_secrets(text)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:pa/ss987@h/db",
        "postgresql://u:p@ss987@h/db",
        "postgresql://u:987 x@h/db",
        "mysql://u:ab#c987@h/db",
        "mysql://u:ab?c987@h/db",
        "postgresql://u:ab'c987@h/db",
        "snowflake://u:987:x@acc/db?passcode=987",
        "mssql+pyodbc:///?odbc_connect=Driver%3DODBC%3BUID%3Dsa%3BPWD%3Dhunter987",
        "mssql+pyodbc://h/db?odbc_connect=DRIVER={x};UID=sa;PWD=hunter987",
        "postgresql+psycopg://:987@h/db",
    ],
)
def test_the_password_of_a_store_is_shown_nowhere(url: str) -> None:
    assert "987" not in database_urls.masked(url)
    assert "987" not in database_urls.mask(f"cannot connect to {url} now", url)


@pytest.mark.parametrize(
    "url",
    ["sqlite:////tmp/a@b/x.db", "postgresql://h:5432/db?user=a@b", "http://host:8080/x", "sqlite:///x.db"],
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert database_urls.masked(url) == url
