#!lua flags=allow-oom
-- Set what an operator says of a group: that it is paused, or other rules than its
-- program declares.
--
-- KEYS[1]   stream
-- KEYS[2]   the group's state
-- ARGV[1]   group
-- ARGV[2..] pairs: field, value. 'now' is the time in ms, unless the field is there already;
--           '' removes the field.
--
-- Returns how many fields are new, other than they were, or gone.
--@include clock
--@include rights

local denied = not_permitted({
    { 'XPENDING', KEYS[1], ARGV[1] }, { 'HGET', KEYS[2], 'a' }, { 'HSET', KEYS[2], 'a', 'b' },
    { 'HDEL', KEYS[2], 'a' },
})
if denied then
    return denied
end

redis.call('XPENDING', KEYS[1], ARGV[1]) -- says so when the group is missing
local changed = 0
for i = 2, #ARGV, 2 do
    local field, value = ARGV[i], ARGV[i + 1]
    local known = redis.call('HGET', KEYS[2], field)
    if value == '' then
        changed = changed + redis.call('HDEL', KEYS[2], field)
    elseif not (known and (value == 'now' or value == known)) then
        redis.call('HSET', KEYS[2], field, value == 'now' and now_ms() or value)
        changed = changed + 1
    end
end
return changed
