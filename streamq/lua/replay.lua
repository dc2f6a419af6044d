#!lua
-- Give entries that a group has settled to it once more, as new entries for that group and
-- for no other.
--
-- KEYS[1]   stream
-- KEYS[2]   holders of data that is kept outside the stream
-- ARGV[1]   group
-- ARGV[2..] entry IDs
--
-- Returns for each: the ID of the new entry, '' when the stream has no such entry, or
-- '!queued' or '!pending' when the group has not settled it yet; or nil when there is no
-- such group.
--@include again
--@include dead_letter
--@include groups
--@include ids
--@include rights

local stream, name = KEYS[1], ARGV[1]
local denied = not_permitted({
    { 'XINFO', 'GROUPS', stream }, { 'XPENDING', stream, name, '-', '+', '1' },
    { 'XRANGE', stream, '-', '+' }, { 'XADD', stream, '*', 'a', 'b' },
    { 'HGET', KEYS[2], 'a' }, { 'HSET', KEYS[2], 'a', 'b' },
})
if denied then
    return denied
end

local group
for _, one in ipairs(groups_of(stream)) do
    group = one.name == name and one or group
end
if not group then
    return nil
end
local answers = {}
for i = 2, #ARGV do
    local id = ARGV[i]
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then
        answers[#answers + 1] = ''
    elseif before(group.last, id) then
        answers[#answers + 1] = '!queued'
    elseif #redis.call('XPENDING', stream, name, id, id, 1) > 0 then
        answers[#answers + 1] = '!pending'
    else
        local ref = ref_of(entry[2], 1)
        if ref then
            hold(KEYS[2], ref)
        end
        local own, _, origin = again(condense(entry[2]), 1)
        answers[#answers + 1] = write_for(stream, own, name, origin or id)
    end
end
return answers
