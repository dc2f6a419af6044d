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
    elseif #letter[2] <= LETTER then
        answers[#answers + 1] = '!empty'
    else
        local fields, own = letter[2], {}
        local target, origin = ARGV[1], fields[2]
        if is_native(fields, LETTER + 1) then
            for j = LETTER + 1, #fields, 2 do
                if fields[j] == 'origin' then
                    origin = fields[j + 1]
                elseif fields[j] == 'for' then
                    target = fields[j + 1]
                else
                    own[#own + 1] = fields[j]
                    own[#own + 1] = fields[j + 1]
                end
            end
        else
            -- Beside `for` and `origin` a foreign entry's fields would be taken for
            -- streamq's own.
            own = as_native(fields, LETTER + 1)
        end
        own[#own + 1] = 'for'
        own[#own + 1] = target
        own[#own + 1] = 'origin'
        own[#own + 1] = origin
        answers[#answers + 1] = redis.call('XADD', KEYS[1], '*', unpack(own))
        redis.call('XDEL', KEYS[2], ARGV[i])
    end
end
if redis.call('XLEN', KEYS[2]) == 0 then
    redis.call('DEL', KEYS[2])
end
return answers
