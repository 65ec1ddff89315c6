"""What runs inside Redis, each as one step that nobody can come between."""

from __future__ import annotations

from typing import Final

from sitebrook.db.redis import RedisConnection
from sitebrook.db.redis_commands import Script

LAST_SEQ: Final = 18446744073709551615
"""The number of the entry that says that the writer is gone: no later one can follow it."""
FENCED: Final = b"fenced"


def keys_of(connection: RedisConnection, stream: str) -> tuple[str, str, str]:
    """The keys of a stream: itself, also the name of its channel; its fields; its snapshot."""
    key = connection.key("ev", stream)
    return key, f"{key}:meta", f"{key}:snap"


APPEND: Final = Script(
    """
-- KEYS: a stream, its fields, its snapshot. ARGV:
--   1 attempt  2 owner  3 the id that must be there, '' before the first one
--   4 head, when the attempt is written anew  5 snapshot  6 ending
--   7 milliseconds to live from now on, 0 to leave that  8 those of a snapshot  9 entries to keep
--   then ids and entries in turn
-- Returns '' when all is written, 'fenced', or the id of the last entry that is there when that is
-- not what the writer takes it for.
local stream, meta, snap = KEYS[1], KEYS[2], KEYS[3]
local attempt, owner, before, head = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]

local function last()
  local found = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  return found[1] and found[1][1] or '0-0'
end

if head ~= '' then
  local held = redis.call('HMGET', meta, 'attempt', 'owner', 'ending')
  local other = tonumber(held[1] or 0)
  if other > attempt then return 'fenced' end
  if other == attempt and (held[2] ~= owner or held[3] == 'lost') then return 'fenced' end
  redis.call('DEL', stream, meta, snap)
  redis.call('HSET', meta, 'attempt', attempt, 'owner', owner, 'head', head)
  redis.call('PUBLISH', stream, '[' .. ARGV[1] .. ',1,[]]')
elseif before ~= '' then
  if #redis.call('XRANGE', stream, before, before) == 0 then return last() end
elseif tonumber(redis.call('HGET', meta, 'attempt') or 0) ~= attempt then
  return last()
end

for place = 10, #ARGV, 2 do
  local id, entry = ARGV[place], ARGV[place + 1]
  local added = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[9], id, 'e', entry)
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller', 1, true) then return last() end
    return added
  end
  redis.call('PUBLISH', stream, entry)
end
if ARGV[5] ~= '' then redis.call('SET', snap, ARGV[5], 'PX', ARGV[8]) end
if ARGV[6] ~= '' then redis.call('HSET', meta, 'ending', ARGV[6]) end
if ARGV[7] ~= '0' then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[7]) end
end
return ''
"""
)

MARK_LOST: Final = Script(
    """
-- KEYS: a stream, its fields, its snapshot. ARGV: its owner, the last number there is,
-- milliseconds to live from now on.
-- Returns its attempt and head when the owner has left it without an end.
local meta = KEYS[2]
local held = redis.call('HMGET', meta, 'attempt', 'owner', 'head', 'ending')
if held[2] ~= ARGV[1] or held[4] == 'end' then return false end
if not held[4] then
  local found = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
  local first = found[1] and tonumber(string.match(found[1][1], '%-(%d+)$')) + 1 or 1
  local entry = string.format('[%s,%.0f,[["lost",null]]]', held[1], first)
  redis.call('XADD', KEYS[1], held[1] .. '-' .. ARGV[2], 'e', entry)
  redis.call('PUBLISH', KEYS[1], entry)
  redis.call('HSET', meta, 'ending', 'lost')
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[3]) end
end
return {held[1], held[3]}
"""
)
