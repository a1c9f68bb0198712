"""The first tables, and the rows they cannot do without."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SYSTEM_ACCOUNTS = ("revenue", "cost", "promotion", "payment", "refund", "correction")


def upgrade() -> None:
    _people()
    _keys()
    _ledger()
    _lent()
    _usage()
    _sold()
    _channels()
    _outbox()
    _rows()


def _people() -> None:
    op.create_table(
        "users",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), server_default="user", nullable=False),
        sa.Column("status", sa.String(length=16), server_default="enabled", nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("price_group", sa.String(length=64), server_default="default", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user_id", _Id, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=128), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )


def _keys() -> None:
    op.create_table(
        "wallets",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("user_id", _Id, nullable=False),
        sa.Column("balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("leased", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_wallets_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_wallets"),
    )
    op.create_index("ix_wallets_user_id", "wallets", ["user_id"])
    op.create_table(
        "keys",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("user_id", _Id, nullable=False),
        sa.Column("wallet_id", _Id, nullable=False),
        sa.Column("title", sa.String(length=128), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("tail", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="enabled", nullable=False),
        sa.Column("price_group", sa.String(length=64), nullable=True),
        sa.Column("models", sa.JSON(), nullable=True),
        sa.Column("limits", sa.JSON(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_keys_user_id"),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_keys_wallet_id"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("key_hash", name="uq_keys_key_hash"),
    )
    op.create_index("ix_keys_user_id", "keys", ["user_id"])


def _ledger() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("wallet_id", _Id, nullable=True),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_accounts_wallet_id"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("wallet_id", name="uq_accounts_wallet_id"),
    )
    op.create_table(
        "transactions",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("memo", sa.String(length=255), server_default="", nullable=False),
        sa.Column("actor", sa.String(length=64), server_default="", nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_transactions"),
        sa.UniqueConstraint("reference", name="uq_transactions_reference"),
    )
    op.create_table(
        "entries",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("transaction_id", _Id, nullable=False),
        sa.Column("account_id", _Id, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_entries_account_id"),
        sa.ForeignKeyConstraint(["transaction_id"], ["transactions.id"], name="fk_entries_transaction_id"),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
    )
    op.create_index("ix_entries_account_id", "entries", ["account_id"])
    op.create_index("ix_entries_transaction_id", "entries", ["transaction_id"])


def _lent() -> None:
    op.create_table(
        "journals",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.String(length=16), server_default="open", nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_journals"),
    )
    op.create_table(
        "leases",
        sa.Column("journal", sa.String(length=64), nullable=False),
        sa.Column("wallet_id", _Id, nullable=False),
        sa.Column("granted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returned", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("booked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.String(length=16), server_default="open", nullable=False),
        sa.ForeignKeyConstraint(["journal"], ["journals.name"], name="fk_leases_journal"),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_leases_wallet_id"),
        sa.PrimaryKeyConstraint("journal", "wallet_id", name="pk_leases"),
    )
    op.create_index("ix_leases_wallet_id", "leases", ["wallet_id", "state"])
    op.create_table(
        "running",
        sa.Column("request_id", sa.String(length=48), nullable=False),
        sa.Column("journal", sa.String(length=64), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("hold", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("opened", sa.LargeBinary(), nullable=False),
        sa.Column("progressed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["journal"], ["journals.name"], name="fk_running_journal"),
        sa.PrimaryKeyConstraint("request_id", name="pk_running"),
    )
    op.create_index("ix_running_journal", "running", ["journal"])
    op.create_index("ix_running_wallet_id", "running", ["wallet_id"])
    op.create_table(
        "strays",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.String(length=48), nullable=False),
        sa.Column("journal", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_strays"),
    )
    op.create_index("ix_strays_request_id", "strays", ["request_id"])


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("request_id", sa.String(length=48), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("operation", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write_5m_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write_1h_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("image_input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("audio_input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("image_output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("audio_output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hold", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("charge", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("over_hold", sa.Boolean(), nullable=False),
        sa.Column("price_version", sa.BigInteger(), nullable=False),
        sa.Column("multiplier_ppm", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("channel_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("first_byte_ms", sa.Integer(), server_default="-1", nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("http_status", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("error_code", sa.String(length=64), server_default="", nullable=False),
        sa.Column("client_request_id", sa.String(length=128), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_usage"),
    )
    op.create_index("ix_usage_at_ms", "usage", ["at_ms"])
    op.create_index("ix_usage_transaction_id", "usage", ["transaction_id"])
    op.create_index("ix_usage_user_id", "usage", ["user_id", "at_ms"])


def _sold() -> None:
    op.create_table(
        "groups",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("multiplier_ppm", sa.BigInteger(), server_default="1000000", nullable=False),
        sa.Column("note", sa.String(length=255), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_groups"),
    )
    op.create_table(
        "models",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("owned_by", sa.String(length=64), server_default="yizhan", nullable=False),
        sa.Column("created_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("context_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens_max", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_models"),
    )
    op.create_table(
        "prices",
        sa.Column("version", _Id, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("rates", sa.JSON(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_prices"),
    )
    op.create_index("ix_prices_model", "prices", ["model"])


def _channels() -> None:
    op.create_table(
        "channels",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("vendor", sa.String(length=64), nullable=False),
        sa.Column("base_url", sa.String(length=512), nullable=False),
        sa.Column("keys_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("weight", sa.Integer(), server_default="1", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("proxy_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("overrides", sa.JSON(), nullable=True),
        sa.Column("note", sa.String(length=255), server_default="", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_channels"),
        sa.UniqueConstraint("name", name="uq_channels_name"),
    )
    op.create_table(
        "options",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_options"),
    )


def _outbox() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "changes",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
    )


def _rows() -> None:
    accounts = sa.table("accounts", sa.column("kind"))
    counters = sa.table("counters", sa.column("name"), sa.column("value"))
    groups = sa.table("groups", sa.column("name"))
    op.bulk_insert(accounts, [{"kind": kind} for kind in SYSTEM_ACCOUNTS])
    op.bulk_insert(counters, [{"name": "changes", "value": 0}])
    op.bulk_insert(groups, [{"name": "default"}])
