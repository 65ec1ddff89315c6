"""What runs inside Redis, each as one step that nobody can come between."""

from __future__ import annotations

from typing import Final

from sitebrook.db.redis_commands import Script

LAST_SEQ: Final = 18446744073709551615
"""The number of the entry that says that the writer is gone: no later one can follow it."""
FENCED: Final = b"fenced"
HEARD: Final = b"heard"


def fields_of(key: str) -> str:
    """The key of what is known of a stream beside its entries."""
    return f"{key}:meta"


def snapshot_of(key: str) -> str:
    """The key of a stream's snapshot."""
    return f"{key}:snap"


APPEND: Final = Script(
    """
-- KEYS: streams. ARGV: owner, entries to keep, milliseconds to live of a snapshot; then for each
-- stream:
--   attempt, the id that must be there or '' before the first one, the number of entries, then the
--   id and the text of each, then 0, or 1 and four more: the head when the attempt is written anew,
--   snapshot, ending, milliseconds to live from now on or 0 to leave that
-- Returns for each stream '' when all is written, 'heard' when someone also hears it, 'fenced', or
-- the id of the last entry that is there when that is not what the writer takes it for.
local owner, length, snapshot_ms = ARGV[1], ARGV[2], ARGV[3]

local function last(stream)
  local found = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  return found[1] and found[1][1] or '0-0'
end

local function begin(stream, meta, attempt, head)
  local held = redis.call('HMGET', meta, 'attempt', 'owner', 'ending')
  local other = tonumber(held[1] or 0)
  if other > attempt then return false end
  if other == attempt and (held[2] ~= owner or held[3] == 'lost') then return false end
  redis.call('DEL', stream, meta, stream .. ':snap')
  redis.call('HSET', meta, 'attempt', attempt, 'owner', owner, 'head', head)
  redis.call('PUBLISH', stream, '[' .. attempt .. ',1,[]]')
  return true
end

local function is_known(stream, meta, attempt, before)
  if before ~= '' then return #redis.call('XRANGE', stream, before, before) == 1 end
  return tonumber(redis.call('HGET', meta, 'attempt') or 0) == attempt
end

local function write(stream, at, count, has_more)
  local meta = stream .. ':meta'
  local attempt, more = tonumber(ARGV[at]), at + 4 + 2 * count
  if has_more and ARGV[more] ~= '' then
    local head = ARGV[more]
    if not begin(stream, meta, attempt, head) then return 'fenced' end
  elseif not is_known(stream, meta, attempt, ARGV[at + 1]) then
    return last(stream)
  end
  local heard = 0
  for place = at + 3, at + 1 + 2 * count, 2 do
    local id, entry = ARGV[place], ARGV[place + 1]
    local added = redis.pcall('XADD', stream, 'MAXLEN', '~', length, id, 'e', entry)
    if type(added) == 'table' and added.err then
      if string.find(added.err, 'equal or smaller', 1, true) then return last(stream) end
      return added
    end
    heard = redis.call('PUBLISH', stream, entry)
  end
  local result = heard > 0 and 'heard' or ''
  if not has_more then return result end
  local snap = stream .. ':snap'
  local snapshot, ending, lives_ms = ARGV[more + 1], ARGV[more + 2], ARGV[more + 3]
  if snapshot ~= '' then redis.call('SET', snap, snapshot, 'PX', snapshot_ms) end
  if ending ~= '' then redis.call('HSET', meta, 'ending', ending) end
  if lives_ms ~= '0' then
    for _, key in ipairs({stream, meta, snap}) do redis.call('PEXPIRE', key, lives_ms) end
  end
  return result
end

local at, results = 4, {}
for place, stream in ipairs(KEYS) do
  local count = tonumber(ARGV[at + 2])
  local has_more = ARGV[at + 3 + 2 * count] == '1'
  local result = write(stream, at, count, has_more)
  if type(result) == 'table' then return redis.error_reply(result.err) end
  results[place] = result
  at = at + 4 + 2 * count + (has_more and 4 or 0)
end
return results
"""
)

MARK_LOST: Final = Script(
    """
-- KEYS: a stream. ARGV: its owner, the last number there is, milliseconds to live from now on.
-- Returns its attempt and head when the owner has left it without an end.
local meta = KEYS[1] .. ':meta'
local held = redis.call('HMGET', meta, 'attempt', 'owner', 'head', 'ending')
if held[2] ~= ARGV[1] or held[4] == 'end' then return false end
if not held[4] then
  local found = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
  local first = found[1] and tonumber(string.match(found[1][1], '%-(%d+)$')) + 1 or 1
  local entry = string.format('[%s,%.0f,[["lost",null]]]', held[1], first)
  redis.call('XADD', KEYS[1], held[1] .. '-' .. ARGV[2], 'e', entry)
  redis.call('PUBLISH', KEYS[1], entry)
  redis.call('HSET', meta, 'ending', 'lost')
  for _, key in ipairs({KEYS[1], meta, KEYS[1] .. ':snap'}) do
    redis.call('PEXPIRE', key, ARGV[3])
  end
end
return {held[1], held[3]}
"""
)

HOLD: Final = Script(
    """
-- KEYS: a lock. ARGV: who holds it, the seconds that it is held from now on, 0 to let it go.
-- Returns 1 when it was held by that one.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
)
