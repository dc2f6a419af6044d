--@include native
--@include offloaded
--@include types

local OURS = {
    'type', 'data', 'key', 'trace', 'tracestate', 'baggage', 'expires', 'for', 'origin', 'ref',
}

-- Lua passes a command some 8,000 values at most. An entry with more has been
-- written by another program; of its fields those remain that make a job of it.
local function condense(fields)
    if #fields <= 4000 then
        return fields
    elseif not is_native(fields, 1) then
        return as_native(fields, 1)
    end
    local values, kept = {}, {}
    for i = 1, #fields, 2 do
        values[fields[i]] = fields[i + 1]
    end
    for _, name in ipairs(OURS) do
        if values[name] then
            kept[#kept + 1] = name
            kept[#kept + 1] = values[name]
        end
    end
    return kept
end

-- Where the entry's own fields begin in those of a letter. Before its attempts a letter may tell
-- where the handler failed.
local function first_own(letter)
    return letter[7] == 'traceback' and 13 or 11
end

-- Write a dead letter: why the job is one, then the fields that the
-- entry had. Reading it by position keeps the two apart whatever those are called.
-- The entry's data may be gone already; then the letter says so by having none. Data that is
-- kept outside the stream has one holder more, counted in `holders`. `traceback` is where the handler
-- failed, '' or nil where that is not known. Returns the ID of the letter, and where such data is.
local function dead_letter(
    stream, dlq, id, attempts, consumer, reason, err, holders, traceback
)
    local letter = { 'id', id, 'reason', reason, 'error', err }
    if traceback and traceback ~= '' then
        letter[7], letter[8] = 'traceback', traceback
    end
    for _, part in ipairs({ 'attempts', attempts, 'consumer', consumer }) do
        letter[#letter + 1] = part
    end
    local entry, ref = redis.call('XRANGE', stream, id, id)[1], nil
    if entry then
        ref = holders and ref_of(entry[2], 1)
        if ref then
            hold(holders, ref)
        end
        for _, field in ipairs(condense(entry[2])) do
            letter[#letter + 1] = field
        end
    end
    return redis.call('XADD', dlq, '*', unpack(letter)), ref
end
