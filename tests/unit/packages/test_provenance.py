"""Signatures of packages: ours, the real Helm's, and everything that is wrong with one."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pysequoia
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysequoia import Cert, CipherSuite, Profile, SignatureMode, Tsk
from pysequoia.packet import Tag

from pitrix.clock import FixedClock
from pitrix.errors import InvalidInput
from pitrix.packages import keys as key_files
from pitrix.packages import provenance
from pitrix.packages.formats.helm import binary as helm_binary
from pitrix.packages.model import Package, SignatureStatus
from tests.unit.packages.openpgp import secret_key

ARCHIVE = b"the bytes of an archive"
NAME = "web-1.0.0.tgz"
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"

JANE = Tsk.generate("Jane Doe <jane@example.com>")
JANE_PUBLIC = JANE.extract_certificate()
BOB = Tsk.generate("Bob <bob@example.com>")
BOB_PUBLIC = BOB.extract_certificate()


@pytest.fixture(scope="module")
def signed() -> bytes:
    return provenance.sign(ARCHIVE, NAME, CHART, key=bytes(JANE))


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart's folder."""
    folder = tmp_path_factory.mktemp("charts") / "web"
    folder.mkdir()
    (folder / "Chart.yaml").write_text(CHART + "description: |\n  A chart\n\n  - with dashes\n")
    return folder


def _status(signature: object) -> str:
    return str(signature.status.value)  # type: ignore[attr-defined]


def test_without_a_file_a_package_is_unsigned() -> None:
    assert provenance.verify(ARCHIVE, NAME, None, [bytes(JANE_PUBLIC)]).status is SignatureStatus.UNSIGNED


def test_a_signature_names_its_signer(signed: bytes) -> None:
    found = provenance.verify(ARCHIVE, f"folder/{NAME}", signed, [str(JANE_PUBLIC)])
    assert found.status is SignatureStatus.VERIFIED
    assert found.signer == "Jane Doe <jane@example.com>"
    assert found.fingerprint == JANE_PUBLIC.fingerprint
    assert found.fingerprint in found.message
    assert found.signer in found.message
    text = signed.decode()
    assert text.startswith("-----BEGIN PGP SIGNED MESSAGE-----\n")
    assert f"{CHART}\n...\nfiles:\n  {NAME}: sha256:{hashlib.sha256(ARCHIVE).hexdigest()}\n" in text


@pytest.mark.parametrize("suite", ["Cv25519", "RSA2k", "P256"])
def test_what_we_sign_passes_the_real_helm(suite: str, chart: Path, tmp_path: Path) -> None:
    key = Tsk.generate("Jane <jane@example.com>", cipher_suite=getattr(CipherSuite, suite))
    archive = _packaged(chart, tmp_path)
    signed = provenance.sign(
        archive.read_bytes(), archive.name, (chart / "Chart.yaml").read_text(), key=bytes(key)
    )
    Path(f"{archive}.prov").write_bytes(signed)
    (tmp_path / "ring.gpg").write_bytes(bytes(BOB_PUBLIC) + bytes(key.extract_certificate()))
    done = helm_binary.run(["verify", str(archive), "--keyring", str(tmp_path / "ring.gpg")])
    assert done.returncode == 0, done.stderr
    assert b"Signed by: Jane <jane@example.com>" in done.stdout
    assert hashlib.sha256(archive.read_bytes()).hexdigest().encode() in done.stdout
    archive.write_bytes(archive.read_bytes() + b"\0")
    assert helm_binary.run(["verify", str(archive), "--keyring", str(tmp_path / "ring.gpg")]).returncode == 1


@pytest.mark.parametrize("password", ["", "hunter22"])
def test_what_the_real_helm_signs_passes_with_us(password: str, chart: Path, tmp_path: Path) -> None:
    secret = secret_key("Jane <jane@example.com>", password=password)
    (tmp_path / "secret.gpg").write_bytes(secret)
    (tmp_path / "password").write_text(password)
    protected = ["--passphrase-file", str(tmp_path / "password")] if password else []
    archive = _packaged(
        chart, tmp_path, "--sign", "--key", "Jane", "--keyring", str(tmp_path / "secret.gpg"), *protected
    )
    public = bytes(Tsk.from_bytes(secret).extract_certificate())
    signed = Path(f"{archive}.prov").read_bytes()
    found = provenance.verify(archive.read_bytes(), archive.name, signed, [str(BOB_PUBLIC), public])
    assert (found.status, found.signer) == (SignatureStatus.VERIFIED, "Jane <jane@example.com>"), (
        found.message
    )
    assert (
        _status(provenance.verify(archive.read_bytes() + b"\0", archive.name, signed, [public])) == "invalid"
    )
    # as a user of GnuPG would sign with us
    ours = provenance.sign(archive.read_bytes(), archive.name, CHART, key=secret, password=password or None)
    assert _status(provenance.verify(archive.read_bytes(), archive.name, ours, [public])) == "verified"


def _packaged(chart: Path, folder: Path, *options: str) -> Path:
    done = helm_binary.run(["package", str(chart), "--destination", str(folder), *options])
    assert done.returncode == 0, done.stderr
    return folder / NAME


def test_other_bytes_and_another_name_are_invalid(signed: bytes) -> None:
    found = provenance.verify(ARCHIVE + b"!", NAME, signed, [bytes(JANE_PUBLIC)])
    assert _status(found) == "invalid"
    assert "its SHA-256 is another" in found.message
    found = provenance.verify(ARCHIVE, "web-2.0.0.tgz", signed, [bytes(JANE_PUBLIC)])
    assert _status(found) == "invalid"
    assert f"it vouches for {NAME}" in found.message


def test_a_key_that_is_not_given_is_unknown(signed: bytes) -> None:
    found = provenance.verify(ARCHIVE, NAME, signed, [str(BOB_PUBLIC)])
    assert _status(found) == "unknown_key"
    assert "the one key given is another" in found.message
    assert found.fingerprint in key_files.certificates(str(JANE_PUBLIC))[0].handles
    assert "no keys were given" in provenance.verify(ARCHIVE, NAME, signed, []).message
    assert "none of the 2 keys" in provenance.verify(ARCHIVE, NAME, signed, [bytes(BOB_PUBLIC)] * 2).message
    # though nobody vouches for the text, it speaks of other bytes
    assert _status(provenance.verify(b"other", NAME, signed, [])) == "invalid"
    dashes = provenance.sign(ARCHIVE, "-web.tgz", "- a: list\n", key=bytes(JANE))
    assert _status(provenance.verify(ARCHIVE, "-web.tgz", dashes, [])) == "unknown_key"


def test_a_text_changed_after_signing_is_invalid(signed: bytes) -> None:
    found = provenance.verify(ARCHIVE, NAME, signed.replace(b"name: web", b"name: wet"), [bytes(JANE_PUBLIC)])
    assert _status(found) == "invalid"
    assert "the provenance was changed" in found.message


def test_line_ends_of_windows_do_no_harm(signed: bytes) -> None:
    text = signed.replace(b"\n", b"\r\n")
    assert _status(provenance.verify(ARCHIVE, NAME, text, [bytes(JANE_PUBLIC)])) == "verified"
    assert _status(provenance.verify(ARCHIVE, NAME, text, [])) == "unknown_key"
    assert _status(provenance.verify(b"other", NAME, text, [])) == "invalid"


def test_a_second_message_behind_the_first_does_not_count(signed: bytes) -> None:
    forged = signed.replace(
        hashlib.sha256(ARCHIVE).hexdigest().encode(), hashlib.sha256(b"evil").hexdigest().encode()
    )
    for both in (signed + forged, forged + signed):
        assert _status(provenance.verify(b"evil", NAME, both, [bytes(JANE_PUBLIC)])) == "invalid"


def test_several_signatures_of_which_one_is_known(signed: bytes) -> None:
    head, mark, _ = signed.partition(b"-----BEGIN PGP SIGNATURE-----")
    packets = [
        bytes(packet)
        for text in (signed, provenance.sign(ARCHIVE, NAME, CHART, key=bytes(BOB)))
        for packet in key_files.packets_of(text[text.index(mark) :])
    ]
    both = head + pysequoia.armor(b"".join(packets), pysequoia.ArmorKind.Signature).encode()
    for owner in (JANE_PUBLIC, BOB_PUBLIC):
        found = provenance.verify(ARCHIVE, NAME, both, [bytes(owner)])
        assert (_status(found), found.fingerprint) == ("verified", owner.fingerprint), found.message


def test_an_expired_key_vouches_no_more() -> None:
    key = Tsk.generate("Old <old@example.com>", validity_seconds=3600)
    public = bytes(key.extract_certificate())
    signed = provenance.sign(ARCHIVE, NAME, CHART, key=bytes(key))
    assert _status(provenance.verify(ARCHIVE, NAME, signed, [public])) == "verified"
    later = FixedClock(datetime.now(UTC) + timedelta(days=2))
    found = provenance.verify(ARCHIVE, NAME, signed, [public], clock=later)
    assert _status(found) == "invalid"
    assert f"which expired on {datetime.now(UTC) + timedelta(minutes=59):%Y-%m-%d}" in found.message


def test_the_real_helm_refuses_expired_keys_too(chart: Path, tmp_path: Path) -> None:
    key = Tsk.generate("Old <old@example.com>")
    archive = _packaged(chart, tmp_path)
    Path(f"{archive}.prov").write_bytes(
        provenance.sign(archive.read_bytes(), archive.name, CHART, key=bytes(key))
    )
    soon = datetime.now(UTC) + timedelta(seconds=1)
    public = key.extract_certificate().set_expiration(soon, key.certifier())
    (tmp_path / "ring.gpg").write_bytes(bytes(public))
    time.sleep(2)
    done = helm_binary.run(["verify", str(archive), "--keyring", str(tmp_path / "ring.gpg")])
    assert "key expired" in done.stderr
    signed = Path(f"{archive}.prov").read_bytes()
    assert "expired" in provenance.verify(archive.read_bytes(), archive.name, signed, [bytes(public)]).message


def test_an_expired_key_signs_nothing() -> None:
    public = JANE_PUBLIC.set_expiration(datetime.now(UTC) - timedelta(seconds=20), JANE.certifier())
    expired = b"".join(bytes(p) for p in _with_secrets(public))
    with pytest.raises(InvalidInput) as caught:
        provenance.sign(ARCHIVE, NAME, CHART, key=expired)
    assert caught.value.errors[0].field == "key"
    assert "expired on" in caught.value.errors[0].message


def _with_secrets(public: Cert) -> list[object]:
    """The packets of a certificate, with the secret keys of Jane's in place of the public ones."""
    secret = {p.fingerprint: p for p in key_files.packets_of(bytes(JANE)) if p.fingerprint}
    return [secret.get(p.fingerprint, p) if p.fingerprint else p for p in key_files.packets_of(bytes(public))]


def test_a_revoked_key_vouches_for_nothing(signed: bytes) -> None:
    revoked = bytes(JANE_PUBLIC) + bytes(JANE_PUBLIC.revoke(certifier=JANE.certifier()))
    found = provenance.verify(ARCHIVE, NAME, signed, [revoked])
    assert _status(found) == "invalid"
    assert "was revoked by its owner" in found.message
    assert provenance.check_keys([revoked])[0].revoked


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not a clear-signed"),
        (b"hello", "not a clear-signed"),
        (b"-----BEGIN PGP SIGNED MESSAGE-----\n", "cannot be read"),
        (
            b"-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n-----BEGIN PGP SIGNATURE-----\n\n!!!!\n",
            "cannot be read",
        ),
        (b"-----BEGIN PGP SIGNED MESSAGE-----\n" + b"x" * 300_000, "the limit is 262144"),
    ],
)
def test_what_is_no_provenance_is_invalid(text: bytes, says: str) -> None:
    found = provenance.verify(ARCHIVE, NAME, text, [bytes(JANE_PUBLIC)])
    assert _status(found) == "invalid"
    assert says in found.message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"name: web\n", "no line of three dots"),
        (b"name: web\n\n...\nfiles: [\n", "not YAML"),
        (b"name: web\n\n...\n- a\n", "names no files"),
        (b"name: web\n\n...\nfiles: {}\n", "it vouches for no file"),
        (b"name: web\n\n...\nfiles:\n  1: 2\n", "it vouches for 1"),
    ],
)
def test_a_signed_text_of_another_shape_is_invalid(body: bytes, says: str) -> None:
    text = pysequoia.sign(JANE.signer(), body, mode=SignatureMode.CLEAR)
    found = provenance.verify(ARCHIVE, NAME, text, [bytes(JANE_PUBLIC)])
    assert _status(found) == "invalid"
    assert says in found.message


def test_an_inline_signed_message_is_no_provenance() -> None:
    text = pysequoia.sign(JANE.signer(), b"a\n...\nfiles: {}\n", mode=SignatureMode.INLINE)
    assert _status(provenance.verify(ARCHIVE, NAME, text, [bytes(JANE_PUBLIC)])) == "invalid"


def test_thousands_of_signatures_take_bounded_time(signed: bytes) -> None:
    head, mark, armored = signed.partition(b"-----BEGIN PGP SIGNATURE-----")
    one = bytes(key_files.packets_of(mark + armored)[0])
    flood = head + pysequoia.armor(one[:-2] * 900, pysequoia.ArmorKind.Signature).encode()
    many = head + pysequoia.armor(one * 900, pysequoia.ArmorKind.Signature).encode()
    started = time.monotonic()
    for text in (flood, many.replace(b"name: web", b"name: wet")):
        assert _status(provenance.verify(ARCHIVE, NAME, text, [bytes(JANE_PUBLIC)])) == "invalid"
    assert time.monotonic() - started < 5


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_nothing_in_a_provenance_raises(data: st.DataObject) -> None:
    text = bytearray(_SIGNED)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        cut = data.draw(st.integers(0, 40))
        text[at : at + cut] = data.draw(st.binary(max_size=40))
    found = provenance.verify(ARCHIVE, NAME, bytes(text), [bytes(JANE_PUBLIC), b"no key"])
    if found.status is SignatureStatus.VERIFIED:
        assert hashlib.sha256(ARCHIVE).hexdigest().encode() in bytes(text)
    assert found.message


_SIGNED = provenance.sign(ARCHIVE, NAME, CHART, key=bytes(JANE))


def _without_signatures(key: bytes) -> bytes:
    return b"".join(bytes(each) for each in key_files.packets_of(key) if each.tag != Tag.Signature)


def test_parts_of_a_key_that_nobody_knows_do_no_harm() -> None:
    unknown = bytes([0xC0 | 15, 1, 0])
    found = provenance.check_keys([bytes(JANE_PUBLIC) + unknown])
    assert [key.fingerprint for key in found] == [JANE_PUBLIC.fingerprint]


def test_keys_come_in_every_shape_people_have() -> None:
    ring = bytes(JANE_PUBLIC) + bytes(BOB_PUBLIC)
    both = [JANE_PUBLIC.fingerprint, BOB_PUBLIC.fingerprint]
    for given_keys in (
        [str(JANE_PUBLIC), bytes(BOB_PUBLIC)],
        [ring],
        [f"Our keys:\n{JANE_PUBLIC}\nand Bob's\n{BOB_PUBLIC}"],
        [f"{JANE_PUBLIC}{BOB_PUBLIC}".replace("\n", "\r\n")],
    ):
        assert [key.fingerprint for key in provenance.check_keys(given_keys)] == both
    assert provenance.fingerprint(str(JANE_PUBLIC)) == both[0]
    assert provenance.check_keys([ring])[1].user_ids == ["Bob <bob@example.com>"]
    version_6 = Tsk.generate("New", profile=Profile.RFC9580).extract_certificate()
    assert len(provenance.fingerprint(str(version_6))) == 64


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "not an OpenPGP public key"),
        ("hello", "not an OpenPGP public key"),
        (str(JANE), "SECRET key"),
        (bytes(JANE), "SECRET key"),
        (f"{BOB_PUBLIC}\n{JANE}", "SECRET key"),
        (bytes(BOB_PUBLIC) + bytes(JANE), "SECRET key"),
        (str(JANE_PUBLIC)[:300], "no whole block"),
        (b"\0\0\0 \1\1\0\2KBXf\0\0\0\0", "keybox"),
        (b"x" * (key_files.MAX_KEY_BYTES + 1), "the limit is"),
        (_without_signatures(bytes(JANE_PUBLIC)), "which cannot be used"),
        (str(pysequoia.armor(b"dummy", pysequoia.ArmorKind.PublicKey)), "not an OpenPGP public key"),
    ],
)
def test_what_is_no_public_key_is_refused_by_name(key: str | bytes, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        provenance.check_keys([str(BOB_PUBLIC), key])
    assert [error.field for error in caught.value.errors] == ["keys/1"]
    assert says in caught.value.errors[0].message
    assert "Stack" not in caught.value.errors[0].message


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_given_for_a_key_is_a_key_or_refused(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([bytes(JANE_PUBLIC), str(JANE_PUBLIC).encode(), bytes(JANE)]))
    text = bytearray(source)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    try:
        found = provenance.check_keys([bytes(text)])
    except InvalidInput as error:
        assert error.errors[0].field == "keys/0"  # noqa: PT017
    else:
        assert all(len(key.fingerprint) in (40, 64) for key in found)


def test_a_keyring_has_no_one_fingerprint() -> None:
    with pytest.raises(InvalidInput, match="holds 2 keys"):
        provenance.fingerprint(bytes(JANE_PUBLIC) + bytes(BOB_PUBLIC))


def test_too_many_keys_are_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be used"):
        provenance.check_keys([bytes(JANE_PUBLIC)] * (key_files.MAX_KEYS + 1))


def test_a_user_id_cannot_play_tricks_on_a_terminal() -> None:
    key = Tsk.generate("Eve\x1b[31m\u202e <eve@example.com>")
    signed = provenance.sign(ARCHIVE, NAME, CHART, key=bytes(key))
    found = provenance.verify(ARCHIVE, NAME, signed, [bytes(key.extract_certificate())])
    assert found.signer == "Eve [31m  <eve@example.com>"


@pytest.mark.parametrize(
    ("key", "password", "field", "says"),
    [
        (b"hello", None, "key", "not one OpenPGP secret key"),
        (bytes(JANE_PUBLIC), None, "key", "is a public key"),
        (bytes(JANE) + bytes(BOB), None, "key", "keyring"),
        (_without_signatures(bytes(JANE)), None, "key", "that can be used"),
        (secret_key("Jane", password="right"), None, "password", "give it"),
        (secret_key("Jane", password="right"), "wrong", "password", "does not open"),
    ],
)
def test_a_key_that_cannot_sign_says_why(key: bytes, password: str | None, field: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        provenance.sign(ARCHIVE, NAME, CHART, key=key, password=password)
    assert caught.value.errors[0].field == field
    assert says in caught.value.errors[0].message


def test_a_password_too_many_does_no_harm() -> None:
    signed = provenance.sign(ARCHIVE, NAME, CHART, key=str(JANE).encode(), password="none is needed")
    assert _status(provenance.verify(ARCHIVE, NAME, signed, [str(JANE_PUBLIC)])) == "verified"


@pytest.mark.parametrize(
    ("name", "metadata", "field"),
    [("a/b.tgz", CHART, "filename"), ("", CHART, "filename"), (NAME, "a: 1\n...\nfiles: {}\n", "metadata"),
     (NAME, "...\nfiles: {}\n", "metadata"), (NAME, "a: " + "x" * 300_000, "metadata")],
)  # fmt: skip
def test_what_would_be_read_otherwise_is_not_signed(name: str, metadata: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        provenance.sign(ARCHIVE, name, metadata, key=bytes(JANE))
    assert caught.value.errors[0].field == field


def test_metadata_of_any_package_can_be_signed() -> None:
    package = Package(
        name="web", version="1.0.0", metadata={"name": "web", "description": "a\n...\nfiles:\n  x: y"}
    )
    signed = provenance.sign(ARCHIVE, NAME, provenance.metadata_yaml(package), key=bytes(JANE))
    assert _status(provenance.verify(ARCHIVE, NAME, signed, [bytes(JANE_PUBLIC)])) == "verified"
    assert "name: web" in provenance.metadata_yaml(Package(name="web", version="1.0.0"))
