--@include native

-- The fields of an entry, from position `first` on, for a new one that is given to one group:
-- without `for` and `origin`, and what these were. Beside them a foreign entry's fields would
-- be taken for streamq's own, so they become its data.
local function again(fields, first)
    if not is_native(fields, first) then
        return as_native(fields, first)
    end
    local own, target, origin = {}, nil, nil
    for i = first, #fields, 2 do
        if fields[i] == 'origin' then
            origin = fields[i + 1]
        elseif fields[i] == 'for' then
            target = fields[i + 1]
        else
            own[#own + 1] = fields[i]
            own[#own + 1] = fields[i + 1]
        end
    end
    return own, target, origin
end

-- Write an entry for one group.
local function write_for(stream, own, target, origin)
    own[#own + 1] = 'for'
    own[#own + 1] = target
    own[#own + 1] = 'origin'
    own[#own + 1] = origin
    return redis.call('XADD', stream, '*', unpack(own))
end
