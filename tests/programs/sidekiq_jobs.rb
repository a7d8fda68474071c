# Work for `sidekiq.rb`: what its Sidekiq processes load. The server's URL comes by the environment.

require 'sidekiq'
require 'sidekiq/api'

Sidekiq.configure_server do |config|
  config.redis = { url: ENV.fetch('BROKER') }
  config.average_scheduled_poll_interval = 1 if config.respond_to?(:average_scheduled_poll_interval=)
end
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch('BROKER') } }

# Counts under the key that it is given.
class Count
  include Sidekiq::Worker
  sidekiq_options queue: 'many'

  def perform(key)
    Sidekiq.redis { |connection| connection.incr(key) }
  end
end

# Fails at its first run.
class Second
  include Sidekiq::Worker
  sidekiq_options queue: 'retried', retry: 3
  sidekiq_retry_in { 1 }

  def perform(key)
    ran = Sidekiq.redis { |connection| connection.incr(key) }
    raise "run #{ran}" if ran < 2
  end
end

# Fails always, and is not tried again.
class Lost
  include Sidekiq::Worker
  sidekiq_options queue: 'retried', retry: 0

  def perform
    raise 'lost'
  end
end
