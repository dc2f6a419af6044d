#!lua
-- Send dead letters back to their stream, as new entries for the group that failed
-- them and for no other; one that was for a certain group stays so.
--
-- KEYS[1]   stream
-- KEYS[2]   dead letters of the group
-- ARGV[1]   group
-- ARGV[2..] IDs of dead letters
--
-- Returns for each: the ID of the new entry, or '' when there is no such dead letter,
-- or '!empty' when the entry had been deleted before it became one.
--@include again
--@include dead_letter
--@include rights

local denied = not_permitted({
    { 'XRANGE', KEYS[2], '-', '+' }, { 'XADD', KEYS[1], '*', 'a', 'b' }, { 'XDEL', KEYS[2], '0-1' },
    { 'XLEN', KEYS[2] }, { 'DEL', KEYS[2] },
})
if denied then
    return denied
end

local answers = {}
for i = 2, #ARGV do
    local letter = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
    if not letter then
        answers[#answers + 1] = ''
    elseif #letter[2] < first_own(letter[2]) then
        answers[#answers + 1] = '!empty'
    else
        local own, target, origin = again(letter[2], first_own(letter[2]))
        answers[#answers + 1] =
            write_for(KEYS[1], own, target or ARGV[1], origin or letter[2][2])
        redis.call('XDEL', KEYS[2], ARGV[i])
    end
end
if redis.call('XLEN', KEYS[2]) == 0 then
    redis.call('DEL', KEYS[2])
end
return answers
