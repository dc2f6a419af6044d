"""The one place that knows all services."""

from examples.shop.audit import audit
from examples.shop.lifespan import lifespan
from examples.shop.mail import mail
from examples.shop.middleware import noted
from examples.shop.payments import payments
from examples.shop.shipping import shipping
from examples.shop.stock import stock
from streamq import App

app = App(stream="shop", lifespan=lifespan, middleware=[noted])
app.include(stock, payments, shipping, mail, audit)
