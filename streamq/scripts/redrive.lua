#!lua
-- Send dead letters back to their stream, as new entries for the group that failed
-- them and for no other.
--
-- KEYS[1]   stream
-- KEYS[2]   dead letters of the group
-- ARGV[1]   group
-- ARGV[2..] IDs of dead letters
--
-- Returns for each: the ID of the new entry, or '' when there is no such dead letter,
-- or '!empty' when the entry's data was gone before it died.

local LETTER = 10 -- strings that streamq wrote in front of the entry's own fields
local answers = {}
for i = 2, #ARGV do
    local letter = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
    if not letter then
        answers[#answers + 1] = ''
    elseif #letter[2] <= LETTER then
        answers[#answers + 1] = '!empty'
    else
        local fields, own = letter[2], {}
        local origin, has_data = fields[2], false
        for j = LETTER + 1, #fields, 2 do
            if fields[j] == 'data' then
                has_data = true
            end
        end
        local pairs_json = {}
        for j = LETTER + 1, #fields, 2 do
            if fields[j] == 'origin' and has_data then
                origin = fields[j + 1]
            elseif fields[j] ~= 'for' or not has_data then
                own[#own + 1] = fields[j]
                own[#own + 1] = fields[j + 1]
                if fields[j] ~= 'type' then
                    pairs_json[fields[j]] = fields[j + 1]
                end
            end
        end
        if not has_data then
            -- A foreign entry's fields are its data. Beside `for` and `origin` they
            -- would be taken for streamq's own, so they become JSON here.
            local kept = {}
            for j = 1, #own, 2 do
                if own[j] == 'type' then
                    kept = { 'type', own[j + 1] }
                end
            end
            own = kept
            own[#own + 1] = 'data'
            own[#own + 1] = cjson.encode(pairs_json)
        end
        own[#own + 1] = 'for'
        own[#own + 1] = ARGV[1]
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
