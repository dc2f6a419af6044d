#!lua flags=allow-oom
-- Look whether a group has had no live consumer for so long that it keeps no entries any
-- more; if so, make its pending jobs dead letters and move its place past what it has not
-- read, a bounded step at a call. Time in which nobody looked does not count, nor does time
-- in which the group had nothing to do.
--
-- KEYS[1]   stream
-- KEYS[2]   settings of the stream
-- KEYS[3]   retry set of the group
-- KEYS[4]   dead letters of the group
-- KEYS[5]   holders of data that is kept outside the stream
-- KEYS[6]   such data that nobody holds
-- ARGV[1]   group
-- ARGV[2]   how long it may be without a live consumer, ms
-- ARGV[3]   idle time after which a consumer counts as gone, ms
--
-- Returns {1 when it is abandoned, else 0, how many unread entries were given up,
--          how many pending jobs became dead letters, 1 when more are left, else 0},
-- or nil when there is no such group.
--@include after
--@include clock
--@include dead_letter
--@include follow
--@include remove
--@include tell

local LOOK = 60000 -- ms that pass between two looks, at most
local DEAD, SCANNED, READ, BUDGET = 50, 500, 100, 4194304
local stream, settings, retry, dlq = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name, allowed, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local bad = wrong_type(retry, 'zset') or wrong_type(dlq, 'stream')
if bad then
    return bad
end
local groups, group = groups_of(stream), nil
for _, one in ipairs(groups) do
    group = one.name == name and one or group
end
if not group then
    return nil
end

local function field(what)
    return what .. ':' .. name
end

local silent = tonumber(redis.call('HGET', settings, field('silent')) or 0)
local looked = redis.call('HGET', settings, field('looked'))
local abandoned = redis.call('HGET', settings, field('abandoned'))

local function forget()
    if looked or abandoned then
        redis.call('HDEL', settings, field('silent'), field('looked'), field('abandoned'),
            field('given_up'))
    end
    return { 0, 0, 0, 0 }
end

for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, name)) do
    local consumer = {}
    for i = 1, #flat, 2 do
        consumer[flat[i]] = flat[i + 1]
    end
    if string.sub(consumer['name'], 1, 1) ~= '~' and consumer['idle'] < lease then
        return forget()
    end
end

local unread_from = after(group.last)
local function unread(count)
    return unread_from and redis.call('XRANGE', stream, unread_from, '+', 'COUNT', count) or {}
end

if not abandoned then
    if group.pending == 0 and #unread(1) == 0 then
        return forget()
    end
    local now = now_ms()
    silent = silent + math.max(math.min(now - tonumber(looked or now), LOOK), 0)
    if silent < allowed then
        redis.call('HSET', settings, field('silent'), silent, field('looked'), now)
        return { 0, 0, 0, 0 }
    end
    redis.call('HSET', settings, field('abandoned'), now, field('given_up'), 0)
    redis.call('HDEL', settings, field('silent'), field('looked'))
end

local TOO_LONG = 'the group had no live consumer for too long'
local pending, letters, refs = {}, {}, { holders = KEYS[5], unheld = KEYS[6] }
local waiting, feed
if group.pending > 0 then
    local following
    waiting, following = listened_to(string.sub(dlq, 1, -4))
    feed = follow(following, stream)
    for i, row in ipairs(redis.call('XPENDING', stream, name, '-', '+', DEAD)) do
        letters[row[1]], refs[row[1]] = dead_letter(
            stream, dlq, row[1], row[4], row[2], 'group abandoned', TOO_LONG, KEYS[5]
        )
        if feed then
            feed.note(
                'dead', row[1], row[4], row[2], nil, nil, nil, nil, 'group abandoned', TOO_LONG
            )
        end
        redis.call('ZREM', retry, row[1])
        pending[i] = row[1]
    end
end

local function is_for_another(fields)
    for i = 1, #fields, 2 do
        if fields[i] == 'for' and fields[i + 1] ~= name then
            return is_native(fields, 1)
        end
    end
    return false
end

local ids, read, given_up, finished = {}, 0, 0, #pending == DEAD
local more = finished
while not finished and #ids < SCANNED and read < BUDGET do
    local rows = unread(READ)
    for _, row in ipairs(rows) do
        ids[#ids + 1] = row[1]
        refs[row[1]] = ref_of(row[2], 1)
        given_up = given_up + (is_for_another(row[2]) and 0 or 1)
        for _, part in ipairs(row[2]) do
            read = read + #part
        end
    end
    unread_from = ids[#ids] and after(ids[#ids]) or unread_from
    finished = #rows < READ
    more = not finished
end

if #pending > 0 then
    redis.call('XACK', stream, name, unpack(pending))
    remove_settled(stream, groups, name, pending, refs)
    tell(waiting, pending, letters)
    if feed then
        feed.publish()
    end
end
if #ids > 0 then
    redis.call('XGROUP', 'SETID', stream, name, ids[#ids])
    local total = tonumber(redis.call('HGET', settings, field('given_up')) or 0) + given_up
    redis.call('HSET', settings, field('given_up'), string.format('%.0f', total))
    remove_settled(stream, groups, name, ids, refs)
end
return { 1, given_up, #pending, more and 1 or 0 }
