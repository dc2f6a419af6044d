--@include shorten

-- A record's history: a field for each attempt of the job, `attempt:` and its number. Of many the
-- first one is kept, and the last ones. streamq/wire/history.py reads them.
--
-- Few functions: each one is made anew with every call of a script, whether it is used or not.

-- The field of an attempt and its value, to be written last of what is written of a record; the
-- oldest one is forgotten where there are too many.
--
-- most      how many attempts a record remembers; 0 for none, then there is nothing to write
-- number    which attempt it was
-- how       how it ended, a word or two
-- began     when it began, and when it ended, ms; '0' where that is not known
local function remember(record, most, number, how, began, ended, consumer, err)
    if most == 0 then
        return
    elseif tonumber(number) > most then
        local oldest = number - most + (most > 1 and 1 or 0)
        redis.pcall('HDEL', record, 'attempt:' .. string.format('%d', oldest))
    end
    local took = tonumber(began) > 0 and math.max(ended - began, 0) or ''
    consumer = string.gsub(consumer, '%c', ' ')
    return 'attempt:' .. number, table.concat({ how, began, took, consumer, shorten(err) }, '\n')
end

-- Delete a record, but for its history if that is to be kept.
local function clear(record, but_history)
    local done = but_history and redis.pcall(
        'HDEL', record, 'state', 'type', 'data', 'attempts', 'started_at', 'finished_at', 'result',
        'note', 'error', 'failed_at', 'deliveries', 'trace', 'progress', 'progress_note',
        'progress_of', 'emitted'
    )
    if type(done) ~= 'number' then -- or other hands have made something else of it
        redis.pcall('DEL', record)
    end
end
