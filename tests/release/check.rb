# check.rb RELEASE: whether a BOSH release is complete and consistent. Says what is not, and then
# exits with status 1.
require 'yaml'

release = ARGV.fetch(0)
@faults = []

def expect(condition, fault)
  @faults << fault unless condition
end

def load_yaml(path)
  YAML.safe_load(File.read(path))
rescue SystemCallError, Psych::Exception => e
  expect(false, "#{path}: #{e.message}")
  nil
end

%w[final blobs].each do |name|
  expect(load_yaml("#{release}/config/#{name}.yml").is_a?(Hash), "config/#{name}.yml is no mapping")
end

packages = Dir.children("#{release}/packages").sort
packages.each do |package|
  spec = load_yaml("#{release}/packages/#{package}/spec") || {}
  expect(spec['name'] == package, "package #{package}: its spec says #{spec['name']}")
  expect(File.file?("#{release}/packages/#{package}/packaging"), "package #{package}: no packaging")
  # The binary is a blob: the reader adds it. Everything else is below src.
  blobs = %w[sipid/sipid]
  (spec['files'] || []).each do |file|
    there = blobs.include?(file) || File.file?("#{release}/src/#{file}")
    expect(there, "package #{package}: src/#{file} does not exist")
  end
end

used = []
jobs = Dir.children("#{release}/jobs").sort
jobs.each do |job|
  folder = "#{release}/jobs/#{job}"
  spec = load_yaml("#{folder}/spec") || {}
  expect(spec['name'] == job, "job #{job}: its spec says #{spec['name']}")

  templates = spec['templates'] || {}
  there = Dir.children("#{folder}/templates").sort
  (templates.keys - there).each { |name| expect(false, "job #{job}: templates/#{name} does not exist") }
  (there - templates.keys).each { |name| expect(false, "job #{job}: templates/#{name} is not listed") }

  needed = spec['packages'] || []
  used |= needed
  (needed - packages).each { |name| expect(false, "job #{job}: there is no package #{name}") }

  texts = (templates.keys & there).to_h { |name| [name, File.read("#{folder}/templates/#{name}")] }
  texts['monit'] = File.file?("#{folder}/monit") ? File.read("#{folder}/monit") : ""
  texts.each do |name, text|
    text.scan(%r{/var/vcap/packages/([\w-]+)}).flatten.uniq.each do |package|
      expect(needed.include?(package), "job #{job}: #{name} uses the package #{package}, unlisted")
    end
    text.scan(%r{/var/vcap/jobs/([\w-]+)/(\S+?)["\s]}) do |other, path|
      listed = (load_yaml("#{release}/jobs/#{other}/spec") || {}).fetch('templates', {}).values
      expect(listed.include?(path), "job #{job}: #{name} names jobs/#{other}/#{path}, which is not there")
    end
    text.scan(/\bp\(['"]([\w.]+)['"]/).flatten.each do |property|
      expect((spec['properties'] || {}).key?(property), "job #{job}: #{name} uses #{property}, undeclared")
    end
    is_erb = name.end_with?('.erb')
    expect(is_erb == text.include?('<%') || name == 'monit', "job #{job}: #{name} is ERB by name or by content only")
  end
  (spec['properties'] || {}).each_key do |property|
    expect(texts.values.any? { |text| text.include?("p('#{property}'") }, "job #{job}: nothing uses #{property}")
  end
  expect(texts['monit'].include?("check process #{job}"), "job #{job}: monit does not check it")
end
(packages - used).each { |name| expect(false, "package #{name}: no job needs it") }

puts @faults
puts "#{jobs.length} jobs and #{packages.length} packages are consistent" if @faults.empty?
exit @faults.empty?
