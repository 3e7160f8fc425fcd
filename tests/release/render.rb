# render.rb JOB_FOLDER TARGET PROPERTIES_JSON: renders a job's templates and its monit file as BOSH
# does: ERB, with p(), if_p() and spec, the spec's defaults below the given properties.
require 'erb'
require 'fileutils'
require 'json'
require 'yaml'

class Context
  def initialize(defaults, given)
    @values = defaults.merge(given)
  end

  # The first of the properties that has a value, else the default given.
  def p(names, *default)
    Array(names).each { |name| return @values[name] unless @values[name].nil? }
    return default.first unless default.empty?

    raise "no property #{Array(names).join(', ')}, and no default for it"
  end

  def if_p(*names)
    values = names.map { |name| @values[name] }
    yield(*values) unless values.any?(&:nil?)
  end

  def render(path)
    ERB.new(File.read(path), trim_mode: '-').tap { |erb| erb.filename = path }.result(binding)
  end
end

job, target, properties = ARGV
spec = YAML.safe_load(File.read("#{job}/spec"))
defaults = (spec['properties'] || {}).transform_values { |property| property['default'] }
unknown = JSON.parse(properties).keys - defaults.keys
abort "#{job}/spec declares no #{unknown.join(', ')}" unless unknown.empty?
context = Context.new(defaults, JSON.parse(properties))

(spec['templates'].map { |from, to| ["templates/#{from}", to] } + [%w[monit monit]]).each do |from, to|
  FileUtils.mkdir_p(File.dirname("#{target}/#{to}"))
  File.write("#{target}/#{to}", context.render("#{job}/#{from}"))
  File.chmod(to.start_with?('bin/') ? 0o755 : 0o644, "#{target}/#{to}")
end
