#!lua flags=allow-oom
-- Delete a group and the keys that only it uses, unless it has consumers alive: these
-- would make it anew, and start from the beginning.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   lock of the group's reclaiming
-- KEYS[4]   dead letters of the group
-- KEYS[5..] its state, its cancelled jobs and its flow control
-- ARGV[1]   group
-- ARGV[2]   silence after which a consumer counts as gone, ms; 0 to delete in any case
-- ARGV[3]   1 to delete the dead letters too
--
-- Returns {how many dead letters were deleted, consumers that are alive}; nothing has
-- been deleted when there are any.
--@include dead_letter
--@include park
--@include rights

local denied = not_permitted({
    { 'XINFO', 'CONSUMERS', KEYS[1], ARGV[1] }, { 'XGROUP', 'DESTROY', KEYS[1], ARGV[1] },
    { 'XLEN', KEYS[4] }, { 'UNLINK', KEYS[4] }, { 'DEL', KEYS[2] }, { 'DEL', KEYS[3] },
    { 'DEL', KEYS[5] },
})
if denied then
    return denied
end

local stream, group, silence = KEYS[1], ARGV[1], tonumber(ARGV[2])
local alive = {}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local fields = {}
    for j = 1, #flat, 2 do
        fields[flat[j]] = flat[j + 1]
    end
    if fields['name'] ~= PARKED and fields['name'] ~= HELD and fields['idle'] < silence then
        alive[#alive + 1] = fields['name']
    end
end
if #alive > 0 then
    return { 0, alive }
end
local dead = 0
if ARGV[3] == '1' then
    local bad = wrong_type(KEYS[4], 'stream')
    if bad then
        return bad
    end
    dead = redis.call('XLEN', KEYS[4])
    redis.call('UNLINK', KEYS[4])
end
redis.call('XGROUP', 'DESTROY', stream, group)
redis.call('DEL', KEYS[2], KEYS[3], unpack(KEYS, 5))
return { dead, alive }
