--@include ids

-- The fence. For each entry: nil when this consumer holds it at the delivery that
-- it was given, else who holds it: a consumer's name, or '' for none.
--
-- One XPENDING over the range answers for a whole batch, five times cheaper than
-- one an entry; whatever it leaves open is asked for singly.
local function strangers(stream, group, consumer, ids, deliveries)
    local found, others = {}, {}
    if #ids >= 8 then
        local low, high = bounds(ids)
        local rows = redis.call('XPENDING', stream, group, low, high, 2 * #ids, consumer)
        for i = 1, #rows do
            found[rows[i][1]] = rows[i][4]
        end
    end
    for i = 1, #ids do
        local delivery = tonumber(deliveries[i])
        if found[ids[i]] ~= delivery then
            local row = redis.call('XPENDING', stream, group, ids[i], ids[i], 1)[1]
            if not row then
                others[i] = ''
            elseif row[2] ~= consumer or row[4] ~= delivery then
                others[i] = row[2]
            end
        end
    end
    return others
end
