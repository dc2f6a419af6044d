#!lua flags=allow-oom
-- Give back entries that a consumer holds but has not started: parked and due at
-- once, and the delivery does not count.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3]   how many at most
-- ARGV[4..] entry IDs to leave alone: the consumer knows of them
--
-- Returns {how many were given back, how many of the consumer's were looked at}.
--@include clock
--@include dead_letter
--@include follow
--@include park
--@include rights
--@include tell

local denied = not_permitted({
    { 'XPENDING', KEYS[1], ARGV[1], '-', '+', '1' }, { 'XCLAIM', KEYS[1], ARGV[1], 'c', '0', '0-1' },
    { 'ZADD', KEYS[2], '0', 'a' },
})
if denied then
    return denied
end

local stream, retry, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local bad = wrong_type(retry, 'zset')
if bad then
    return bad
end
local known = {}
for i = 4, #ARGV do
    known[ARGV[i]] = true
end
local now, released = now_ms(), 0
local _, following = listened_to(string.sub(retry, 1, -6))
local feed = follow(following, stream)
local rows = redis.call('XPENDING', stream, group, '-', '+', ARGV[3], consumer)
for _, row in ipairs(rows) do
    if not known[row[1]] and park(stream, retry, group, row[1], now, math.max(row[4] - 1, 0)) then
        released = released + 1
        if feed then
            feed.note('released', row[1], row[4], consumer)
        end
    end
end
if feed then
    feed.publish()
end
return { released, #rows }
