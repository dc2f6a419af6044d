--@include clock
--@include shorten

-- What becomes of jobs, for those who follow their group; they have asked for what it costs.
-- A message has a row for each of some jobs, and a row the fields that streamq/wire/tail.py names;
-- what is not known is empty.
local ROW, FIELD = '\30', '\31'
local ROWS, BYTES = 100, 16384 -- of one message

-- The feed of a channel, or nil where nobody follows: then a script gathers nothing.
local function follow(channel, stream)
    if not channel then
        return nil
    end
    local feed, rows, size = {}, {}, 0

    -- The type of a job whose verdict does not tell.
    local function type_of(id)
        local entry = redis.call('XRANGE', stream, id, id)[1]
        for i = 1, entry and #entry[2] or 0, 2 do
            if entry[2][i] == 'type' then
                return entry[2][i + 1]
            end
        end
        return ''
    end

    -- Note what has become of a job, before its entry goes.
    --
    -- attempt      which one it was
    -- began, ended when its handler was called, and when that ended, ms
    -- due          when the next attempt is, ms
    -- reason, err  as in a dead letter
    function feed.note(state, id, attempt, consumer, job_type, began, ended, due, reason, err)
        local took = began and tonumber(began) > 0 and math.max(ended - began, 0) or ''
        local row = {
            state, id, attempt, consumer, job_type or type_of(id), took, due or '',
            reason or '', shorten(err or ''),
        }
        for i, field in ipairs(row) do
            row[i] = string.gsub(field, '%c', ' ')
        end
        rows[#rows + 1] = table.concat(row, FIELD)
        size = size + #rows[#rows]
        if #rows == ROWS or size >= BYTES then
            feed.publish()
        end
    end

    function feed.publish()
        if #rows > 0 then
            redis.pcall('SPUBLISH', channel, now_ms() .. ROW .. table.concat(rows, ROW))
            rows, size = {}, 0
        end
    end

    return feed
end
