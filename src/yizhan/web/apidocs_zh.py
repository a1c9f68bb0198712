"""The API reference's texts in Chinese, by their English."""

from __future__ import annotations

CHINESE: dict[str, str] = {
    "One base URL and one key in front of every model vendor.": "一个地址、一把密钥，连通所有模型厂商。",
    "Chat": "对话",
    "Answer a chat, whole or as a stream. OpenAI's own SDKs work with `base_url` and `api_key` changed.": (
        "回答一次对话，可一次返回，也可流式返回。OpenAI 官方 SDK 只需改 `base_url` 和 `api_key`。"
    ),
    "Request fulfilled, document follows": "请求成功",
    "Document created, URL follows": "已创建",
    "The request cannot be understood, or asks for what is not allowed": "请求无法理解，或所求不被允许",
    "Not signed in": "未登录",
    "Your role does not permit it": "你的角色无此权限",
    "No key, or not a valid one": "没有密钥，或密钥无效",
    "The balance does not cover it": "余额不足",
    "Nothing of that name": "没有这个名字",
    "Not now; the same request may succeed later": "暂时无法服务，稍后重试可能成功",
    "List the models you are served": "列出可用模型",
    "List the models of your key's group that have a channel and a price.": "列出你的密钥可用的、已有价格的模型。",
    "Show one model": "查看单个模型",
    "Show a model your key is served.": "查看你的密钥可用的一个模型。",
    "Is it alive": "是否存活",
    "Answer 200 as long as the process runs.": "进程在运行就返回 200。",
    "Can it serve": "是否就绪",
    "Answer 200 once the catalog is there and money can be checked, else 503.": (
        "目录已加载且能核对余额时返回 200，否则返回 503。"
    ),
    "Sign in": "登录",
    "Begin a session of seven days. The answer carries it as a token and sets it as a cookie.": (
        "开始为期七天的会话。会话令牌既在应答中返回，也写入 cookie。"
    ),
    "Sign out": "退出登录",
    "End the session this request came with.": "结束本次请求所用的会话。",
    "Who am I": "我是谁",
    "Say whom the request was recognised as.": "说明请求被识别为谁。",
    "List users": "列出用户",
    "List users with their balances, oldest first.": "列出用户及余额，先建者在前。",
    "Only ids above this one; `next` of the page before": "只列大于此 id 的条目；即上一页的 `next`",
    "Only ids below this one; `next` of the page before": "只列小于此 id 的条目；即上一页的 `next`",
    "Most entries in the answer": "最多返回多少条",
    "Add a user": "新建用户",
    "Add a user with an empty wallet. Only an owner adds admins and owners.": (
        "新建一个钱包为空的用户。只有站长能新建管理员和站长。"
    ),
    "Show a user": "查看用户",
    "Show a user with balance and available money. Users see themselves only.": (
        "查看用户的余额与可用金额。普通用户只能看到自己。"
    ),
    "Change a user": "修改用户",
    "Change role, status, price group or password. Disabling also stops the user's keys, everywhere at once.": (
        "修改角色、状态、价格分组或密码。禁用用户会立即停用其全部密钥。"
    ),
    "List a user's keys": "列出用户的密钥",
    "List a user's keys, without their secrets.": "列出用户的密钥，不含密钥本身。",
    "Make a key": "新建密钥",
    "Make a key on a user's wallet. The answer holds the secret; nobody can show it again.": (
        "在用户的钱包上新建密钥。密钥只在此应答中出现一次，以后无人能再查看。"
    ),
    "Change a key": "修改密钥",
    "Rename, disable, enable or limit a key; in force on every worker within a second.": (
        "改名、禁用、启用或限制密钥；一秒内在所有进程生效。"
    ),
    "List channels": "列出渠道",
    "List channels, oldest first.": "列出渠道，先建者在前。",
    "Add a channel": "新建渠道",
    "Add a way to an upstream; in force on every worker within a second. Its keys are sealed at once.": (
        "新建一条通往上游的渠道；一秒内在所有进程生效。上游密钥立即加密保存。"
    ),
    "Show a channel": "查看渠道",
    "Show a channel, found by name or id, with the tails of its keys.": "按名字或 id 查看渠道，密钥只显示末尾几位。",
    "Remove a channel": "删除渠道",
    "Remove a channel and its keys; answers with what it was. Requests that run on it end as they would.": (
        "删除渠道及其密钥，并返回被删除的渠道。正在进行的请求不受影响。"
    ),
    "Change a channel": "修改渠道",
    "Change, disable or enable a channel; in force on every worker within a second.": (
        "修改、禁用或启用渠道；一秒内在所有进程生效。"
    ),
    "Test a channel": "测试渠道",
    "Ask the upstream for one token, for real; it may cost the operator that token. Nothing is billed to users.": (
        "真实地向上游请求一个 token，费用由运营者承担，不向用户计费。"
    ),
    "List prices": "列出价格",
    "List the prices in force, by model.": "按模型列出现行价格。",
    "Show a model's price": "查看模型价格",
    "Show what a model costs, and the versions before.": "查看模型的现价及历史版本。",
    "Set a model's price": "设置模型价格",
    "Put a new version in force, on every worker within a second. Requests that run keep the price they had.": (
        "启用新的价格版本，一秒内在所有进程生效。进行中的请求仍按原价计费。"
    ),
    "Withdraw a price": "下架模型",
    "Stop selling a model. Its versions stay, for the receipts that name them.": (
        "停止出售模型。历史价格版本保留，供账单核对。"
    ),
    "List price groups": "列出价格分组",
    "List the price groups.": "列出全部价格分组。",
    "Set a price group": "设置价格分组",
    "Add or change a price group; in force on every worker within a second.": (
        "新建或修改价格分组；一秒内在所有进程生效。"
    ),
    "List models": "列出模型资料",
    "List what is known of models, by name.": "按名字列出模型的已知资料。",
    "Set a model's limits": "设置模型上限",
    "Set a model's context window and output limit; in force on every worker within a second.": (
        "设置模型的上下文窗口和输出上限；一秒内在所有进程生效。"
    ),
    "List top-ups": "列出充值",
    "List top-ups, newest first. Users see their own only.": "列出充值记录，新者在前。普通用户只能看到自己的。",
    "Top up a wallet": "充值",
    "Credit a user. Refused requests of that user are served again at once.": (
        "为用户充值。此前因余额不足被拒的用户可立即继续使用。"
    ),
    "Prove the books": "核对账目",
    "Check that entries sum to zero, wallets equal their entries, and every charge is booked once.": (
        "核对分录合计为零、钱包与分录一致、每笔费用恰好入账一次。"
    ),
    "Count the station": "站点概览",
    "Count users, keys, channels, money, and the requests of the last 24 hours.": (
        "统计用户、密钥、渠道、金额，以及最近 24 小时的请求。"
    ),
    "List requests": "列出请求",
    "List requests with their bills, newest first. Users see their own only.": (
        "列出请求及其账单，新者在前。普通用户只能看到自己的。"
    ),
    "ISO 8601, or so long ago: `90s`, `15m`, `1h`, `7d`": "ISO 8601 时间，或距今多久：`90s`、`15m`、`1h`、`7d`",
    "Like `since`; this moment itself is not included": "格式同 `since`；不含这一时刻本身",
    "`next` of the page before": "上一页的 `next`",
    "A key of the station, `sk-…`.": "本站的密钥，`sk-…`。",
    "A session's token from `login`, or the operator's.": "登录所得的会话令牌，或运营者令牌。",
    "What callers use: OpenAI's own routes, with a key of the station.": "调用接口：OpenAI 原有路径，配本站密钥。",
    "Signing in and out.": "登录与退出。",
    "Users and their wallets.": "用户与钱包。",
    "The keys callers send.": "调用者所用的密钥。",
    "The ways to the upstreams.": "通往上游的渠道。",
    "What models cost.": "模型价格。",
    "Price groups: who pays how much of the list price.": "价格分组：谁按标价的多少付费。",
    "What is known of models besides their price.": "模型除价格以外的资料。",
    "Money that comes in.": "充值。",
    "The books.": "账目。",
    "What was asked and what it cost.": "用量与费用。",
}
