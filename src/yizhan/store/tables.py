"""Every table. Amounts are nano-USD in 64 bits; times are milliseconds since the epoch, UTC."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    false,
    true,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows itself only where the type is INTEGER


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


def _amount(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _at(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


# -- who ---------------------------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False, server_default="user"),  # user · admin · owner
    Column("status", String(16), nullable=False, server_default="enabled"),  # enabled · disabled
    Column("password_hash", String(255)),  # argon2; NULL: cannot sign in
    Column("price_group", String(64), nullable=False, server_default="default"),
    _at("created_ms"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    _at("created_ms"),
    _at("expires_ms"),
)

keys = Table(
    "keys",
    metadata,
    _id(),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("wallet_id", _Id, ForeignKey("wallets.id"), nullable=False),
    Column("title", String(128), nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True),  # keyed BLAKE2b; the key itself is not kept
    Column("tail", String(8), nullable=False),  # last characters, for people to recognise it
    Column("status", String(16), nullable=False, server_default="enabled"),  # enabled · disabled · exhausted
    Column("price_group", String(64)),  # NULL: the owner's
    Column("models", JSON(none_as_null=True)),  # NULL: all that the group is served
    Column("limits", JSON(none_as_null=True)),
    _at("created_ms"),
    Column("expires_ms", BigInteger),
)

audit = Table(
    "audit",
    metadata,
    _id(),
    _at("at_ms"),
    Column("actor", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(128), nullable=False),
    Column("detail", JSON(none_as_null=True)),
)

# -- money ------------------------------------------------------------------------------------------------------------

wallets = Table(
    "wallets",
    metadata,
    _id(),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False, index=True),
    _amount("balance"),  # posted; equals the wallet account's entries
    _amount("leased"),  # lent to gateways and not yet booked or given back; 0 <= leased, and <= balance when lent
    _at("created_ms"),
)

accounts = Table(
    "accounts",
    metadata,
    _id(),
    Column("kind", String(16), nullable=False),  # wallet · revenue · cost · promotion · payment · refund · correction
    Column("wallet_id", _Id, ForeignKey("wallets.id"), unique=True),  # set for kind wallet only
)

transactions = Table(
    "transactions",
    metadata,
    _id(),
    _at("at_ms"),
    Column("kind", String(16), nullable=False),  # topup · usage · refund · correction
    Column("memo", String(255), nullable=False, server_default=""),
    Column("actor", String(64), nullable=False, server_default=""),
    Column("reference", String(128), unique=True),  # outside id (payment, import), so that it is posted once
)

entries = Table(
    "entries",
    metadata,
    _id(),
    Column("transaction_id", _Id, ForeignKey("transactions.id"), nullable=False, index=True),
    Column("account_id", _Id, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("amount", BigInteger, nullable=False),  # a wallet's grows by topping up; a transaction sums to zero
)

journals = Table(
    "journals",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("gateway", String(64), nullable=False),
    Column("position", BigInteger, nullable=False, server_default="0"),  # everything before it is booked
    Column("state", String(16), nullable=False, server_default="open"),  # open · ended · unresolved
    _at("opened_ms"),
    Column("ended_ms", BigInteger),
)

leases = Table(
    "leases",
    metadata,
    Column("journal", String(64), ForeignKey("journals.name"), primary_key=True),
    Column("wallet_id", _Id, ForeignKey("wallets.id"), primary_key=True),
    _amount("granted"),  # totals; outstanding = granted - returned - booked
    _amount("returned"),
    _amount("booked"),
    Column("state", String(16), nullable=False, server_default="open"),  # open · closed · unresolved
    Index("ix_leases_wallet_id", "wallet_id", "state"),
)

running = Table(
    "running",
    metadata,
    Column("request_id", String(48), primary_key=True),
    Column("journal", String(64), ForeignKey("journals.name"), nullable=False, index=True),
    Column("wallet_id", BigInteger, nullable=False, index=True),
    _amount("hold"),  # what a person sees taken off the available money
    Column("opened", LargeBinary, nullable=False),  # the journal's record, as it stood
    Column("progressed", LargeBinary),
)

strays = Table(  # journal records that could not be booked; `ledger verify` is not clean while there are any
    "strays",
    metadata,
    _id(),
    Column("request_id", String(48), nullable=False, index=True),
    Column("journal", String(64), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("record", LargeBinary, nullable=False),
    _at("at_ms"),
)

_TOKENS = (
    "input",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
    "image_input",
    "audio_input",
    "output",
    "reasoning",
    "image_output",
    "audio_output",
)

usage = Table(
    "usage",
    metadata,
    Column("request_id", String(48), primary_key=True),
    _at("at_ms"),
    Column("wallet_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("key_id", BigInteger, nullable=False),
    Column("model", String(255), nullable=False),
    Column("operation", String(32), nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("status", String(32), nullable=False),  # as in the journal; interrupted · unknown: the process died
    Column("estimated", Boolean, nullable=False),
    *[Column(f"{name}_tokens", BigInteger, nullable=False, server_default="0") for name in _TOKENS],
    _amount("hold"),
    _amount("charge"),
    Column("over_hold", Boolean, nullable=False),
    Column("price_version", BigInteger, nullable=False),
    Column("multiplier_ppm", BigInteger, nullable=False),
    Column("transaction_id", BigInteger),  # NULL only where the charge is 0
    Column("channel_id", BigInteger, nullable=False, server_default="0"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("first_byte_ms", Integer, nullable=False, server_default="-1"),
    Column("duration_ms", BigInteger, nullable=False, server_default="0"),
    Column("http_status", SmallInteger, nullable=False, server_default="0"),
    Column("error_code", String(64), nullable=False, server_default=""),
    Column("client_request_id", String(128), nullable=False, server_default=""),
    Index("ix_usage_user_id", "user_id", "at_ms"),
    Index("ix_usage_at_ms", "at_ms"),
    Index("ix_usage_transaction_id", "transaction_id"),
)

# -- what is sold and by whom -----------------------------------------------------------------------------------------

groups = Table(
    "groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("multiplier_ppm", BigInteger, nullable=False, server_default="1000000"),
    Column("note", String(255), nullable=False, server_default=""),
)

models = Table(
    "models",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("owned_by", String(64), nullable=False, server_default="yizhan"),
    Column("created_s", BigInteger, nullable=False, server_default="0"),
    Column("context_tokens", BigInteger),
    Column("output_tokens_max", BigInteger),
)

prices = Table(
    "prices",
    metadata,
    Column("version", _Id, primary_key=True, autoincrement=True),
    Column("model", String(255), nullable=False, index=True),  # in force: the model's highest version
    Column("rates", JSON, nullable=False),  # catalog.entries.Price without version and model
    Column("source", String(64), nullable=False),  # genai-prices==0.2.3 · operator
    Column("withdrawn", Boolean, nullable=False, server_default=false()),  # a version that says: not sold any more
    _at("created_ms"),
)

channels = Table(
    "channels",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("vendor", String(64), nullable=False),
    Column("base_url", String(512), nullable=False),
    Column("keys_sealed", LargeBinary, nullable=False),  # AES-GCM over a JSON list
    Column("models", JSON, nullable=False),  # name callers use → name upstream
    Column("groups", JSON, nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("weight", Integer, nullable=False, server_default="1"),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("proxy_sealed", LargeBinary),
    Column("overrides", JSON(none_as_null=True)),
    Column("note", String(255), nullable=False, server_default=""),
    _at("created_ms"),
)

options = Table(
    "options",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

# -- what gateways must be told ---------------------------------------------------------------------------------------

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),  # changes: the last seq, taken under the row's lock, so without gaps
    Column("value", BigInteger, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # channel · model · price · group · key · wallet
    Column("key", String(255), nullable=False),  # id, name, or hex of the key's hash
    _at("at_ms"),
)
