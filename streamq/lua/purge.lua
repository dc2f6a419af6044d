#!lua flags=allow-oom
-- Delete dead letters.
--
-- KEYS[1]   dead letters of a group
-- KEYS[2]   holders of data that is kept outside the stream; may be left out with the next
-- KEYS[3]   such data that nobody holds
-- ARGV[1..] IDs of dead letters; then, where there are these keys, for each where its data is
--           if it is outside, else ''
--
-- Returns for each: 1 (deleted), 0 (there is no such dead letter).
--@include offloaded
--@include rights

local needs = { { 'XDEL', KEYS[1], '0-1' }, { 'XLEN', KEYS[1] }, { 'DEL', KEYS[1] } }
local n = #ARGV
if KEYS[2] then
    n = n / 2
    for _, need in ipairs({
        { 'HGET', KEYS[2], 'a' }, { 'HSET', KEYS[2], 'a', 'b' }, { 'HDEL', KEYS[2], 'a' },
        { 'ZADD', KEYS[3], '0', 'a' },
    }) do
        needs[#needs + 1] = need
    end
end
local denied = not_permitted(needs)
if denied then
    return denied
end

local answers = {}
for i = 1, n do
    answers[i] = redis.call('XDEL', KEYS[1], ARGV[i])
    local ref = KEYS[2] and ARGV[n + i] or ''
    if answers[i] == 1 and ref ~= '' then
        let_go(KEYS[2], KEYS[3], ref)
    end
end
if redis.call('XLEN', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[1])
end
return answers
